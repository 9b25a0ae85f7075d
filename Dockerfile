# The senet-kp command with what finding landmarks needs: no TensorFlow, no GPU.
#   docker build --tag senet-kp .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/data" senet-kp demo photo.jpg
# It writes out/demo/ in the current folder. For other stages build on this image and install an
# extra: pip install 'senet_kp[train]'.

FROM python:3.12.12-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY data_prep/ data_prep/
COPY export/ export/
COPY senet_kp/ senet_kp/
COPY tfrecords/ tfrecords/
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

# The wheels of opencv-python-headless and dlib-bin load only libstdc++, libgcc and libz from the
# system. The slim image has all three, so that no apt-get is needed.
FROM python:3.12.12-slim-bookworm
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    --mount=type=bind,source=requirements/base.txt,target=/base.txt \
    pip install --no-cache-dir --no-deps --require-hashes --requirement /base.txt \
    && pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && useradd --create-home --uid 1000 senet
# Any user may keep the unpacked face detector here.
ENV XDG_CACHE_HOME=/tmp/cache
USER 1000
WORKDIR /data
ENTRYPOINT ["senet-kp"]
CMD ["--help"]
