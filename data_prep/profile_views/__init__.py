"""Turned views of labelled photos, as the synthetic views of 300W-LP.

`photo` brings a face to the scale of 300W-LP, `head_fit` fits the renderer's head to its landmarks,
`surface` puts the photo's pixels on that head, `turn` draws it in another pose, and `command`
writes the folder.
"""
