import json

from controller.anomaly.finding import Severity
from controller.incidents.incident import IncidentState
from controller.notify.body import MAX_ALERTS, alert_name, alertmanager_body, rfc3339
from tests.controller.builders import AT, make_finding, make_incident

KEYS = {
    "version",
    "groupKey",
    "truncatedAlerts",
    "receiver",
    "status",
    "externalURL",
    "groupLabels",
    "commonLabels",
    "commonAnnotations",
    "alerts",
}
ALERT_KEYS = {
    "status",
    "labels",
    "annotations",
    "startsAt",
    "endsAt",
    "generatorURL",
    "fingerprint",
}


def body(**changed: object) -> dict[str, object]:
    incident = make_incident(**changed)
    sent = alertmanager_body(incident, receiver="on-call", external_url="http://desk:8080")
    parsed: dict[str, object] = json.loads(sent)
    return parsed


def test_the_shape_is_alertmanagers_version_4() -> None:
    sent = body()
    assert sent.keys() == KEYS
    assert (sent["version"], sent["status"], sent["receiver"]) == ("4", "firing", "on-call")
    alerts = sent["alerts"]
    assert isinstance(alerts, list)
    (alert,) = alerts
    assert alert.keys() == ALERT_KEYS
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"
    assert len(bytes.fromhex(alert["fingerprint"])) == 8
    assert alert["labels"]["alertname"] == "JunctionHot"
    assert alert["annotations"]["cause"] == "h1/us01/r1/s07@3.1041"
    assert sent["groupLabels"] == {"alertname": "JunctionHot", "loop": "h1/loop01"}
    for values in (alert["labels"], alert["annotations"]):
        assert all(isinstance(value, str) for value in values.values())


def test_the_end_is_told() -> None:
    sent = body(state=IncidentState.RESOLVED, resolved_at_unix_ns=AT + 61_500_000_000)
    assert sent["status"] == "resolved"
    alerts = sent["alerts"]
    assert isinstance(alerts, list)
    assert alerts[0]["status"] == "resolved"
    assert alerts[0]["endsAt"] == rfc3339(AT + 61_500_000_000)


def test_common_labels_are_those_that_all_alerts_share() -> None:
    findings = (make_finding(), make_finding(subject="other", severity=Severity.WARNING))
    common = body(findings=findings)["commonLabels"]
    assert isinstance(common, dict)
    assert common["alertname"] == "JunctionHot"
    assert "subject" not in common
    assert "severity" not in common


def test_the_same_alert_keeps_its_fingerprint_when_its_value_moves() -> None:
    def prints(**changed: object) -> list[str]:
        alerts = body(findings=(make_finding(**changed),))["alerts"]
        assert isinstance(alerts, list)
        return [alert["fingerprint"] for alert in alerts]

    assert prints() == prints(value=99.0, text="hotter", cause="h1/us01/r1/s07@3.1042")
    assert prints() != prints(subject="h1/us01/r1/s07/c3")


def test_a_storm_stays_small_and_counts_what_it_leaves_out() -> None:
    findings = tuple(make_finding(subject=f"h1/us01/r1/s07/c{n}") for n in range(300))
    incident = make_incident(findings=findings)
    sent = alertmanager_body(incident, receiver="x", external_url="http://desk:8080")
    assert len(sent) < 20_000
    assert json.loads(sent)["truncatedAlerts"] == 300 - MAX_ALERTS


def test_names_and_times() -> None:
    assert alert_name("sled_flow_below_peers") == "SledFlowBelowPeers"
    assert rfc3339(1_760_000_000_123_456_789) == "2025-10-09T08:53:20.123Z"
