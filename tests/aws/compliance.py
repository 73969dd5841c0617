"""What AWS Config found, from data that a test gives: the emulator has rules, but never evaluates one."""

import json

from wire import Refused

TARGET = "StarlingDoveService."
OPERATIONS = ("GetComplianceDetailsByConfigRule", "DescribeComplianceByConfigRule", "DescribeComplianceByResource")
# One time for all of it: what was evaluated doesn't depend on when the test runs.
AT = 1_700_000_000
# A count of contributors stops here: <https://docs.aws.amazon.com/config/latest/APIReference/API_ComplianceContributorCount.html>.
CAPPED = 25


class Compliance:
    """Results by account, region and rule: `[resource type, resource id, compliance]`."""

    def __init__(self):
        self.results = {}

    def set(self, account, region, rule, results):
        self.results.setdefault((account, region), {})[rule] = results

    def answers(self, target):
        return target.startswith(TARGET) and target[len(TARGET):] in OPERATIONS

    def answer(self, operation, account, region, params):
        """A whole answer, not in pages: status, headers, body."""
        rules = self.results.get((account, region), {})
        wanted = params.get("ComplianceTypes") or None
        body = getattr(self, operation)(rules, params, wanted)
        return 200, [("content-type", "application/x-amz-json-1.1")], json.dumps(body).encode()

    def GetComplianceDetailsByConfigRule(self, rules, params, wanted):
        name = params.get("ConfigRuleName", "")
        if name not in rules:
            raise Refused(400, "NoSuchConfigRuleException", f"The ConfigRule '{name}' provided in the request is invalid.")
        return {"EvaluationResults": [
            {"EvaluationResultIdentifier": {
                "EvaluationResultQualifier": {"ConfigRuleName": name, "ResourceType": kind, "ResourceId": id},
                "OrderingTimestamp": AT},
             "ComplianceType": found, "ResultRecordedTime": AT + 1, "ConfigRuleInvokedTime": AT}
            for kind, id, found in rules[name] if wanted is None or found in wanted]}

    def DescribeComplianceByConfigRule(self, rules, params, wanted):
        names = params.get("ConfigRuleNames") or sorted(rules)
        for name in names:
            if name not in rules:
                raise Refused(400, "NoSuchConfigRuleException", f"The ConfigRule '{name}' is not there.")
        found = [(name, overall(rules[name])) for name in names]
        return {"ComplianceByConfigRules": [
            {"ConfigRuleName": name, "Compliance": compliance} for name, compliance in found
            if wanted is None or compliance["ComplianceType"] in wanted]}

    def DescribeComplianceByResource(self, rules, params, wanted):
        by_resource = {}
        for results in rules.values():
            for kind, id, found in results:
                by_resource.setdefault((kind, id), []).append((kind, id, found))
        return {"ComplianceByResources": [
            {"ResourceType": kind, "ResourceId": id, "Compliance": overall(results)}
            for (kind, id), results in sorted(by_resource.items())
            if params.get("ResourceType", kind) == kind and params.get("ResourceId", id) == id
            and (wanted is None or overall(results)["ComplianceType"] in wanted)]}


def overall(results):
    """One resource that isn't compliant makes the whole not compliant; without results there is nothing to say."""
    bad = sum(found == "NON_COMPLIANT" for _, _, found in results)
    if not results:
        return {"ComplianceType": "INSUFFICIENT_DATA"}
    if not bad:
        return {"ComplianceType": "COMPLIANT"}
    return {"ComplianceType": "NON_COMPLIANT",
            "ComplianceContributorCount": {"CappedCount": min(bad, CAPPED), "CapExceeded": bad > CAPPED}}
