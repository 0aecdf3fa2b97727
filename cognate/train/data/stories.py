"""The words of the generated problems."""

from __future__ import annotations

from dataclasses import dataclass

# Short and common words: a vocabulary of 512 tokens holds most of them whole.
NAMES = (
    *("Ada", "Ali", "Amy", "Ana", "Ben", "Bo", "Cem", "Dan", "Eli", "Eva", "Fay", "Finn", "Gus", "Hana", "Hugo", "Ian"),
    *("Ida", "Ivo", "Jan", "Kai", "Kim", "Lea", "Leo", "Lin", "Max", "Mia", "Nia", "Noa", "Omar", "Otto", "Pia", "Raj"),
    *("Ravi", "Rosa", "Sam", "Sana", "Tom", "Uma", "Vera", "Zoe"),
)
ITEMS = (
    *("apples", "balls", "beads", "books", "boxes", "cakes", "cards", "coins", "cups", "eggs", "figs", "flags"),
    *("hats", "keys", "lamps", "maps", "nuts", "pears", "pens", "pins", "plums", "rings", "seeds", "stamps"),
)


@dataclass(frozen=True)
class Scene:
    """A kind of story: how it begins, what may happen by each sign, and what is asked."""

    opening: tuple[str, ...]
    events: dict[str, tuple[str, ...]]
    question: tuple[str, ...]


SCENES = (
    Scene(
        opening=("{name} has {number} {items}.", "{name} owns {number} {items}."),
        events={
            "+": ("{name} finds {number} more.", "{other} gives {name} {number}.", "{name} buys {number}."),
            "-": ("{name} gives {other} {number}.", "{name} loses {number}.", "{name} sells {number}."),
            "*": ("{name} doubles them.", "{other} brings as many again."),
        },
        question=("How many does {name} have now?", "How many {items} is that?"),
    ),
    Scene(
        opening=("A shop has {number} {items}.", "There are {number} {items} in a shop."),
        events={
            "+": ("{number} more come in.", "{other} brings {number} more."),
            "-": ("The shop sells {number}.", "{other} buys {number}."),
            "*": ("The number doubles.", "As many again come in."),
        },
        question=("How many are in the shop now?", "How many {items} is that?"),
    ),
    Scene(
        opening=("A bus has {number} people on it.", "There are {number} people on a bus."),
        events={
            "+": ("{number} get on.", "{number} more get on."),
            "-": ("{number} get off.", "{number} of them get off."),
            "*": ("As many again get on.", "The number doubles."),
        },
        question=("How many are on the bus now?", "How many people is that?"),
    ),
    Scene(
        opening=("{name} has {number} dollars.", "{name} saves {number} dollars."),
        events={
            "+": ("{name} earns {number} more.", "{other} gives {name} {number}."),
            "-": ("{name} spends {number}.", "{name} gives {other} {number}.", "{name} loses {number}."),
            "*": ("{name} doubles them.", "{other} brings as many again."),
        },
        question=("How many does {name} have now?", "How many dollars is that?"),
    ),
    Scene(
        opening=("A jar has {number} {items} in it.", "There are {number} {items} in a jar."),
        events={
            "+": ("{other} puts in {number} more.", "{name} puts in {number}."),
            "-": ("{other} takes out {number}.", "{name} takes {number}."),
            "*": ("The number doubles.", "{other} puts in as many again."),
        },
        question=("How many are in the jar now?", "How many {items} is that?"),
    ),
)
COMPARISONS = {
    "+": (
        "{name} has {first} {items} and {other} has {second}. How many is that in all?",
        "{name} has {first} {items}. {other} has {second} more. How many does {other} have?",
        "{name} finds {first} {items} and then {second} more. How many is that in all?",
    ),
    "-": (
        "{name} has {first} {items} and {other} has {second}. How many more does {name} have?",
        "{name} has {first} {items}. {other} has {second} fewer. How many does {other} have?",
        "{name} needs {first} {items} and has {second}. How many more does {name} need?",
    ),
}
