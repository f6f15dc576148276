from benchmarks.speed import in_turn, stack, step_of


def test_a_refusal_is_a_row_and_the_others_are_timed():
    def refuse():
        raise ValueError("no")

    rows = in_turn({"works": step_of(stack(2), 1), "refuses": refuse}, repeats=2)
    assert rows["refuses"] == {"fails": "ValueError: no"}
    assert len(rows["works"]["ms"]) == 2
    assert rows["works"]["first step (s)"] > 0
