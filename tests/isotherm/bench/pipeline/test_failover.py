from isotherm.bench.pipeline.failover import progress


def test_progress_says_how_long_the_rest_takes_and_the_worst_so_far() -> None:
    assert progress(9, 90, 63.0, 2.291) == (
        "P5: 9 of 90 troubles in 63 s, about 567 s to go; longest pause 2.29 s"
    )
