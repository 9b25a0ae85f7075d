"""`python -m data_prep.sample_faces`."""

from senet_kp.data_prep.sample_faces.dataset import main

if __name__ == "__main__":  # worker processes import this file too
    main()
