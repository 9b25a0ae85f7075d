"""python -m data_prep.formats

Prints one line for each data-set format: its name, a tab, and what its folder contains.
"""

from senet_kp.data_prep.formats import FORMATS


def main():
    for format in FORMATS.values():
        print(format.name, format.expects, sep="\t")


if __name__ == "__main__":
    main()
