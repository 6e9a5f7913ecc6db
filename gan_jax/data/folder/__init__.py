"""Data of one's own: files in a folder or a .zip, or arrays, made into two data sets, one to learn from and one unseen.

`files` lists them, `naming` tells class and side from names, `pictures`, `arrays` and `sounds` know what is inside,
`workers` reads in parallel, `cache` keeps the result as one memory-mapped array, `load` puts these together.
"""
