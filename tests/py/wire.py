"""Fills topics of Kafka as their users do: with Confluent's own client and serializers, and Google's Protobuf.

Reads one request from standard input, and prints nothing:

    {"bootstrap": "127.0.0.1:9092",
     "registry": {"url": "http://127.0.0.1:8081", "user": "rekap", "password": "secret"},
     "avro":     [{"topic": "t", "schema": "{…}", "values": [{"id": 1}]}],        registered by the serializer itself
     "protobuf": [{"topic": "t", "id": 3, "package": "p", "message": "M",           framed with the id of a source that is registered
                   "fields": [["id", 1, "INT64"]], "values": [{"id": 1}]}],
     "raw":      [{"topic": "t", "values": ["base64…"]}]}
"""

import base64
import json
import struct
import sys

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def message_class(package, name, fields):
    """The class of a message with these fields."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.{name}.proto", package=package, syntax="proto3")
    message = file.message_type.add(name=name)
    for field, number, kind in fields:
        repeated = kind.startswith("REPEATED_")
        message.field.add(
            name=field,
            number=number,
            type=getattr(descriptor_pb2.FieldDescriptorProto, "TYPE_" + kind.removeprefix("REPEATED_")),
            label=3 if repeated else 1,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))


def main():
    request = json.load(sys.stdin)
    producer = Producer({"bootstrap.servers": request["bootstrap"]})
    registry = request.get("registry")
    if registry:
        secret = f"{registry['user']}:{registry['password']}"
        registry = SchemaRegistryClient({"url": registry["url"], "basic.auth.user.info": secret})
    for part in request.get("avro", []):
        serialize = AvroSerializer(registry, part["schema"])
        context = SerializationContext(part["topic"], MessageField.VALUE)
        for value in part["values"]:
            producer.produce(part["topic"], value=serialize(value, context))
    for part in request.get("protobuf", []):
        message = message_class(part["package"], part["message"], part["fields"])
        frame = struct.pack(">bI", 0, part["id"]) + b"\0"
        for value in part["values"]:
            producer.produce(part["topic"], value=frame + json_format.ParseDict(value, message()).SerializeToString())
    for part in request.get("raw", []):
        for value in part["values"]:
            producer.produce(part["topic"], value=base64.b64decode(value))
    left = producer.flush(30)
    if left:
        raise SystemExit(f"{left} records were not taken")


main()
