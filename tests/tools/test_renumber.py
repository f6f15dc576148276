"""New numbers for chapters, in everything that names them and in nothing else."""

from tools.renumber import renumber

NUMBERS = {"09": "10", "10": "12"}
STEMS = {"09-recipe": "10-recipe", "10-features": "12-features", "01-costs": "01-costs"}


def test_what_names_a_chapter():
    old = (
        "# 09 · The recipe\n# Solutions 10 · Features\n"
        "[Chapter 09](../2-convnext/09-recipe.ipynb) and [chapter 10](10-features.ipynb), chapters 01, 09 and 10, "
        "chapters 01 to 09, covers/10.png, solutions/09-recipe"
    )
    assert renumber(old, NUMBERS, STEMS) == (
        "# 10 · The recipe\n# Solutions 12 · Features\n"
        "[Chapter 10](../2-convnext/10-recipe.ipynb) and [chapter 12](12-features.ipynb), chapters 01, 10 and 12, "
        "chapters 01 to 10, covers/12.png, solutions/10-recipe"
    )


def test_what_does_not():
    for text in ("09 images", "seed=9", "chapter 3", "2026-09-10", "09-other", "subchapters 091", "0.09", "page 10"):
        assert renumber(text, NUMBERS, STEMS) == text
