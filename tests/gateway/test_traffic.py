"""Requests from before a drain are counted apart from those after it."""

from gateway.traffic import Traffic


def test_it_is_drained_once_the_requests_from_before_have_ended() -> None:
    traffic = Traffic()
    before = [traffic.enter(), traffic.enter()]
    assert (traffic.draining, traffic.drained, traffic.in_flight) == (False, False, 2)
    traffic.drain()
    traffic.leave(traffic.enter())  # a late request does not count as one from before
    after = traffic.enter()  # a caller that does not know of the drain yet is answered as well
    traffic.leave(before[0])
    assert (traffic.draining, traffic.drained, traffic.in_flight) == (True, False, 2)
    traffic.leave(before[1])
    assert (traffic.drained, traffic.in_flight) == (True, 1)
    traffic.leave(after)
    assert (traffic.drained, traffic.in_flight) == (True, 0)


def test_without_requests_it_is_drained_at_once() -> None:
    traffic = Traffic()
    traffic.drain()
    assert traffic.drained
