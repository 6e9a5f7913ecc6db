"""The game under the microscope: its field, its eigenvalues, and games so small that theory tells them.

`dirac` has a game of two numbers and its closed forms, `update_map` what each update rule does to it.
"""
