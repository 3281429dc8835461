"""Attacks on certificates and files, by a judge that shares no arithmetic with the library.

    python -m tests.adversary --seconds 60 --seed 0 --jobs 2

True answers are made (`truths`), spoiled (`spoils`) and judged in exact rationals (`judge`) against
better known networks; files are forged and damaged (`damage`). What is counted is false statements,
healthy files that are refused, and errors that are not the library's own.
"""
