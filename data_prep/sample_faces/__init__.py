"""A renderer of 3-D faces with exact landmarks, for training data without a download.

`senet-kp sample --out out/sample` writes 1200 pictures of 200 identities in the layout of 300W-LP.
`traits` draws the parameters of an identity; `head`, `texture`, `landmarks`, `body` and `props`
build its surfaces from them; `identity` renders its views, and `dataset` writes the files. Other
code calls `identity.render_identity`.
"""
