"""What to say of a flag that does not exist. Imports no JAX."""

from absl import flags

# Other programs' names -> the flags of this project that do the same, and what to know of them.
_STEPS = (
    "num_steps",
    "the length of a training is counted in steps of G: --num_steps = epochs * samples / --batch_size",
)
_RATES = ("g_lr", "each player has its own learning rate: --g_lr and --d_lr")
_EMA = (
    "ema_half_life_images",
    "the moving average is given by its half-life: --ema_half_life_images",
)
ELSEWHERE = {
    **dict.fromkeys(("epochs", "epoch", "numepochs", "nepochs", "maxepochs", "nepoch"), _STEPS),
    **dict.fromkeys(("lr", "learningrate", "adamlr"), _RATES),
    **dict.fromkeys(("ema", "emadecay", "emabeta", "emarate"), _EMA),
}
SYNONYMS = {
    **dict.fromkeys(("steps", "iters", "iterations", "niter", "maxsteps"), "num_steps"),
    **dict.fromkeys(("batch", "bs", "batchsz"), "batch_size"),
    **dict.fromkeys(("beta1", "adambeta1"), "b1"),
    **dict.fromkeys(("beta2", "adambeta2"), "b2"),
    **dict.fromkeys(("nz", "zdim", "latentsize", "latentdims", "latents"), "latent_dim"),
    **dict.fromkeys(("out", "output", "outdir", "outputdir", "logdir", "rundir"), "workdir"),
    **dict.fromkeys(("data", "dataroot", "datapath", "datadirectory"), "data_dir"),
    **dict.fromkeys(("gpus", "ngpus", "numgpus", "devices"), "num_devices"),
    **dict.fromkeys(("ncritic", "ndisc", "dsteps", "disteps"), "n_dis"),
    **dict.fromkeys(("gamma", "r1", "r1weight"), "r1_gamma"),
    **dict.fromkeys(("gplambda", "lambdagp", "gp"), "gp_weight"),
    **dict.fromkeys(("randomseed", "manualseed"), "seed"),
    **dict.fromkeys(("samples", "n", "nsamples"), "num_samples"),
    **dict.fromkeys(("config", "preset", "flags"), "flagfile"),
}


def explain(error: flags.UnrecognizedFlagError) -> str:
    """Put an unknown flag into a sentence: absl's own suggestion, or what the flag is called here."""
    plain = _plain(error.flagname)
    known, advice = ELSEWHERE.get(plain, ("", ""))
    if known in flags.FLAGS:
        return f"unknown flag --{error.flagname}: {advice}"
    names = [name for name in flags.FLAGS if _plain(name) == plain]
    names += [name for name in (SYNONYMS.get(plain),) if name in (*flags.FLAGS, "flagfile")]
    if names:
        return f"unknown flag --{error.flagname}: did you mean --{names[0]}?"
    return (
        f"{error}; --help lists the flags" if "?" in str(error) else f"{error}: --help lists them"
    )


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")
