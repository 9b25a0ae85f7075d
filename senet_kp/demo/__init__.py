"""The demo: finds the faces in pictures, videos and camera images and draws their landmarks."""
