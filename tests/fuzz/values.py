"""Random valid values of any message, record or row: built from the types themselves, so that none is forgotten."""

import msgspec
from msgspec import inspect

TEXT = ("", "a", "host:7400", "[::1]:1", "rack-1", "x" * 40, "ü")
NUMBERS = (0, 1, 2, 255, 65_536, 2**31 - 1, 2**32 - 1, 2**53, 2**63 - 1)
ITEMS_MAX = 3
WITHOUT_BOUND = 2**63 - 1


def make(chance, kind):
    """Return a random value of a struct class that its own decoder accepts."""
    return _struct(chance, inspect.type_info(kind))


def of_type(chance, type_):
    """Return a random value of any type that messages use."""
    return _value(chance, inspect.type_info(type_))


def _struct(chance, told):
    return told.cls(**{field.name: _value(chance, field.type) for field in told.fields})


def _value(chance, told):
    return _MAKERS[type(told)](chance, told)


def _number(chance, told):
    low = told.ge if told.ge is not None else 0
    high = told.le if told.le is not None else told.lt - 1 if told.lt is not None else WITHOUT_BOUND
    fitting = [number for number in NUMBERS if low <= number <= high]
    return chance.choice([*fitting, low, high, chance.randint(low, high)])


def _bytes(chance, told):
    limit = 40 if told.max_length is None else min(told.max_length, 40)
    return chance.randbytes(chance.randint(told.min_length or 0, limit))


def _list(chance, told):
    return [_value(chance, told.item_type) for _ in range(chance.randint(0, ITEMS_MAX))]


def _dict(chance, told):
    return {_value(chance, told.key_type): _value(chance, told.value_type) for _ in range(chance.randint(0, ITEMS_MAX))}


def _any(chance, _told):
    return chance.choice([None, True, 7, 2**40, 1.5, "text", b"\xff", [1, 2], {"a": 1}])


_MAKERS = {
    inspect.AnyType: _any,
    inspect.BoolType: lambda chance, _: chance.random() < 0.5,
    inspect.BytesType: _bytes,
    inspect.DictType: _dict,
    inspect.EnumType: lambda chance, told: chance.choice(list(told.cls)),
    inspect.FloatType: lambda chance, _: chance.choice([0.0, 1.5, 60.0, -1.0, 1e300]),
    inspect.IntType: _number,
    inspect.ListType: _list,
    inspect.NamedTupleType: lambda chance, told: told.cls(*(_value(chance, field.type) for field in told.fields)),
    inspect.NoneType: lambda _chance, _told: None,
    inspect.StrType: lambda chance, _: chance.choice(TEXT),
    inspect.StructType: _struct,
    inspect.TupleType: lambda chance, told: tuple(_value(chance, item) for item in told.item_types),
    inspect.UnionType: lambda chance, told: _value(chance, chance.choice(told.types)),
}

encode = msgspec.msgpack.Encoder().encode
