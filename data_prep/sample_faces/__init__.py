"""Rendered 3-D faces with exact landmarks, in the layout of 300W-LP: data without a download.

`python -m data_prep.sample_faces --out out/sample` writes 1200 pictures of 200 people. From
traits (who) come the head (form), its paint and landmarks, the body and props; `identity` puts
them before a camera and `dataset` writes the files. In code: `identity.render_identity`.
"""
