"""`tf.train.Example` messages and TFRecord framing without TensorFlow.

Importing TensorFlow costs seconds and half a gigabyte of memory in every process that reads or
writes a record. The messages (tensorflow/core/example/feature.proto) and the framing (TensorFlow's
"TFRecords format details") are small and never change, so protobuf and a CRC-32C library suffice.
"""

import struct

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_HEADER = struct.Struct("<QI")  # length of the data, checksum of the length
_FOOTER = struct.Struct("<I")  # checksum of the data


class BadRecord(ValueError):
    """The framing, the checksum or a feature of a record is wrong; the message says which."""


def _example_class():
    """Build the Example message class in a separate descriptor pool.

    TensorFlow registers the same message in protobuf's default pool.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="senet_kp/example.proto", package="senet_kp", syntax="proto3"
    )

    def message(name, *fields, parent=file.message_type):
        made = parent.add(name=name)
        for number, (field, label, kind, type_name) in enumerate(fields, 1):
            made.field.add(name=field, number=number, label=label, type=kind, type_name=type_name)
        return made

    one, many, nested = _FIELD.LABEL_OPTIONAL, _FIELD.LABEL_REPEATED, _FIELD.TYPE_MESSAGE
    message("BytesList", ("value", many, _FIELD.TYPE_BYTES, None))
    message("FloatList", ("value", many, _FIELD.TYPE_FLOAT, None))
    message("Int64List", ("value", many, _FIELD.TYPE_INT64, None))
    feature = message(
        "Feature",
        ("bytes_list", one, nested, ".senet_kp.BytesList"),
        ("float_list", one, nested, ".senet_kp.FloatList"),
        ("int64_list", one, nested, ".senet_kp.Int64List"),
    )
    feature.oneof_decl.add(name="kind")
    for field in feature.field:
        field.oneof_index = 0
    features = message("Features", ("feature", many, nested, ".senet_kp.Features.FeatureEntry"))
    entry = message(
        "FeatureEntry",
        ("key", one, _FIELD.TYPE_STRING, None),
        ("value", one, nested, ".senet_kp.Feature"),
        parent=features.nested_type,
    )
    entry.options.map_entry = True
    message("Example", ("features", one, nested, ".senet_kp.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("senet_kp.Example"))


Example = _example_class()


def frame(data: bytes) -> bytes:
    """Return `data` framed as one TFRecord: length, its checksum, data, its checksum."""
    length = struct.pack("<Q", len(data))
    return length + _FOOTER.pack(_masked_crc(length)) + data + _FOOTER.pack(_masked_crc(data))


def read_frames(path):
    """Yield the data of every record of a TFRecord file.

    Raises BadRecord, with the number of the record, if the file ends inside a record or a checksum
    does not match.
    """
    with open(path, "rb") as file:
        number = 0
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size:
                raise BadRecord(f"truncated in the header of record {number}")
            length, length_crc = _HEADER.unpack(header)
            if _masked_crc(header[:8]) != length_crc:
                raise BadRecord(f"altered: the length of record {number} fails its checksum")
            data, footer = file.read(length), file.read(_FOOTER.size)
            if len(footer) < _FOOTER.size:
                raise BadRecord(f"truncated in record {number}")
            if _masked_crc(data) != _FOOTER.unpack(footer)[0]:
                raise BadRecord(f"altered: record {number} fails its checksum")
            yield data
            number += 1


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
