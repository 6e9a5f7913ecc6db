"""The game under the microscope: where it goes, whether it turns, and games so small that theory tells them.

`field` has the game's vector field, `spectrum` the eigenvalues of its Jacobian, `blocks` each player's own Hessian,
`rotation` how much it turns, `path` what lies between two checkpoints, `gap` what each player could still gain,
`overfitting` what D says of unseen images. `dirac` has a game of two numbers and its closed forms, `update_map` what
each update rule does to it.
"""
