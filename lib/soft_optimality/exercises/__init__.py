"""What `so.check` knows of the exercises, one file a chapter: cases, reference, slips.  They take plain arrays, as students write them.

Letters as in the book: p (S, A, S) dynamics, r reward, rho (S, A) prior, T steps, eta temperature, gamma discount; log 0 is -inf.
"""
