"""Eigenvalues of one step of a rule in a game whose field near the equilibrium is linear: theory to hold runs against.

The field is x' = J x, and lam an eigenvalue of J; a rule of rate h multiplies the distance from the equilibrium, along
the eigenvector, by mu. |mu| < 1 comes closer.
"""

import cmath


def simultaneous_factor(lam: complex, h: float) -> complex:
    """Give mu = 1 + h lam: for lam = i a of length sqrt(1 + h^2 a^2), always outward."""
    return 1 + h * lam


def alternating_factors(pull: float, push: float, h: float) -> tuple[complex, complex]:
    """Give both mu of D's step followed by G's, where G moves by `pull` times D's weight and D by -`push` times G's.

    mu = 1 - c/2 +- sqrt((1 - c/2)^2 - 1), c = h^2 pull push: of length 1 up to c = 4.

    Reference: Mescheder et al. 2018, lemma 2.4, arXiv:1801.04406.
    """
    half = 1 - 0.5 * h**2 * pull * push
    root = cmath.sqrt(half**2 - 1)
    return half + root, half - root


def extragradient_factor(lam: complex, h: float) -> complex:
    """Give mu = 1 + h lam + h^2 lam^2: for lam = i a of length sqrt(1 - h^2 a^2 + h^4 a^4).

    Reference: Gidel et al. 2019, section 3.2, arXiv:1802.10551.
    """
    return 1 + h * lam + (h * lam) ** 2


def past_factors(lam: complex, h: float) -> tuple[complex, complex]:
    """Give both mu of extrapolation from the past: mu^2 - (1 + 2 h lam) mu + h lam = 0."""
    middle = 0.5 + h * lam
    root = cmath.sqrt(middle**2 - h * lam)
    return middle + root, middle - root


def consensus_factor(lam: complex, h: float, gamma: float) -> complex:
    """Give mu = 1 + h (lam - gamma |lam|^2), where J is normal.

    Reference: Mescheder et al. 2017, section 4, arXiv:1705.10461.
    """
    return 1 + h * (lam - gamma * abs(lam) ** 2)


def symplectic_factor(lam: complex, h: float, weight: float) -> complex:
    """Give mu = 1 + h lam (1 + weight i b), b = Im lam, where J is normal: for lam = i b, 1 + h (i b - weight b^2).

    The adjusted field is J x + weight A^T J x, and A, the antisymmetric part of -J, has the eigenvalue -i b.

    Reference: Balduzzi et al. 2018, section 3, arXiv:1802.05642.
    """
    return 1 + h * (lam + weight * 1j * lam.imag * lam)


def lookahead_factor(mu: complex, alpha: float, steps: int) -> complex:
    """Give the factor of `steps` steps and a pull back, where a step has the factor mu: 1 - alpha + alpha mu^steps."""
    return 1 - alpha + alpha * mu**steps
