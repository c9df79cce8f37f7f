"""Requests that came before a drain, and those that came after it, are told apart."""

from gateway.traffic import Traffic


def test_nobody_drains_before_it_is_said() -> None:
    traffic = Traffic()
    assert (traffic.draining, traffic.drained, traffic.under_way) == (False, False, 0)
    traffic.drain()
    assert (traffic.draining, traffic.drained) == (True, True)


def test_it_is_drained_once_those_of_before_have_ended() -> None:
    traffic = Traffic()
    before = [traffic.enter(), traffic.enter()]
    traffic.drain()
    after = traffic.enter()  # a caller who has not heard of it is answered all the same
    traffic.leave(before[0])
    assert (traffic.drained, traffic.under_way) == (False, 2)
    traffic.leave(before[1])
    assert (traffic.drained, traffic.under_way) == (True, 1)
    traffic.leave(after)
    assert (traffic.drained, traffic.under_way) == (True, 0)


def test_those_of_after_do_not_make_up_for_those_of_before() -> None:
    traffic = Traffic()
    before = traffic.enter()
    traffic.drain()
    traffic.leave(traffic.enter())
    assert (traffic.drained, traffic.under_way) == (False, 1)
    traffic.leave(before)
    assert traffic.drained
