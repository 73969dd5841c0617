//! The services that answer in JSON: Lambda and API Gateway by path, Config and others by target.

use super::reply::{Page, Reply, add};
use super::server::Ask;
use super::world::{ACCOUNT, SECRET, function_arn, id, number, role_arn};

pub(super) fn answer(ask: &Ask<'_>, service: &str, path: &str) -> Option<Reply> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (service, parts.as_slice()) {
        ("lambda", ["2015-03-31", "functions"]) => Some(functions(ask)),
        ("lambda", ["2017-03-31", "tags", _]) => Some(Reply::json("{\"Tags\":{\"stage\":\"test\"}}".to_owned())),
        ("apigateway", ["restapis"]) => Some(apis(ask)),
        ("apigateway", ["restapis", api, "resources"]) => resources(ask, api),
        ("apigateway", ["restapis", api, "resources", _, "methods", method, "integration"]) => {
            integration(ask, api, method)
        }
        _ => by_target(ask, service),
    }
}

fn by_target(ask: &Ask<'_>, service: &str) -> Option<Reply> {
    match (service, ask.name.as_str()) {
        ("config", "DescribeConfigRules") => Some(rules(ask, rule)),
        ("config", "DescribeComplianceByConfigRule") => Some(rules(ask, compliance)),
        ("config", "GetComplianceDetailsByConfigRule") => Some(results(ask)),
        ("organizations", _) => Some(Reply::json_error(400, "AWSOrganizationsNotInUseException")),
        ("monitoring", "GetMetricData") => Some(Reply::json("{\"MetricDataResults\":[],\"Messages\":[]}".to_owned())),
        ("kms", "ListKeys") => Some(Reply::json("{\"Keys\":[],\"Truncated\":false}".to_owned())),
        _ => None,
    }
}

/// Words of a list in JSON.
struct List {
    /// What the list is called.
    items: &'static str,
    /// What the token is called in the answer.
    next: &'static str,
    /// What token and size are called in the request.
    arguments: [&'static str; 2],
    /// Items of a page when no number is asked for.
    usual: usize,
    /// The most items of a page.
    most: usize,
    /// The error for a token that no answer had.
    refusal: &'static str,
}

fn list(ask: &Ask<'_>, list: &List, total: usize, item: impl Fn(&mut String, &Ask<'_>, usize)) -> Reply {
    let Some(page) = Page::of(total, &ask.arguments, list.arguments, list.usual, list.most) else {
        return Reply::json_error(400, list.refusal);
    };
    let mut body = format!("{{\"{}\":[", list.items);
    for n in page.numbers() {
        if n > page.from {
            body.push(',');
        }
        item(&mut body, ask, n);
    }
    body.push(']');
    if let Some(next) = page.next {
        add(&mut body, format_args!(",\"{}\":\"{next}\"", list.next));
    }
    body.push('}');
    Reply::json(body)
}

fn functions(ask: &Ask<'_>) -> Reply {
    let words = List {
        items: "Functions",
        next: "NextMarker",
        arguments: ["Marker", "MaxItems"],
        usual: 50,
        most: 50,
        refusal: "InvalidParameterValueException",
    };
    list(ask, &words, ask.shape.functions, |body, ask, n| {
        add(
            body,
            format_args!(
                "{{\"FunctionName\":\"function-{n:05}\",\"FunctionArn\":\"{}\",\"Runtime\":\"python3.12\",\"Role\":\"{}\",\
                 \"Handler\":\"index.handler\",\"CodeSize\":1024,\"Description\":\"\",\"Timeout\":3,\"MemorySize\":128,\
                 \"LastModified\":\"2024-01-02T03:04:05.000+0000\",\"CodeSha256\":\"x\",\"Version\":\"$LATEST\",\
                 \"Environment\":{{\"Variables\":{{\"PASSWORD\":\"{SECRET}-{n}\"}}}},\
                 \"TracingConfig\":{{\"Mode\":\"PassThrough\"}},\"PackageType\":\"Zip\",\"Architectures\":[\"x86_64\"]}}",
                function_arn(ask.region_name(), n),
                role_arn(n % ask.shape.roles),
            ),
        );
    })
}

fn apis(ask: &Ask<'_>) -> Reply {
    let words = List {
        items: "item",
        next: "position",
        arguments: ["position", "limit"],
        usual: 25,
        most: 500,
        refusal: "BadRequestException",
    };
    list(ask, &words, ask.shape.apis, |body, _, n| {
        add(
            body,
            format_args!(
                "{{\"id\":\"a{n:09}\",\"name\":\"shop {n}\",\"createdDate\":1704164645,\
                 \"apiKeySource\":\"HEADER\",\"endpointConfiguration\":{{\"types\":[\"EDGE\"]}},\
                 \"tags\":{{\"stage\":\"test\"}},\"disableExecuteApiEndpoint\":false}}"
            ),
        );
    })
}

/// An API calls one function.
fn target(ask: &Ask<'_>, api: &str) -> Option<String> {
    let n = api.strip_prefix('a')?.parse().ok().filter(|n: &usize| *n < ask.shape.apis)?;
    let (region, arn) = (ask.region_name(), function_arn(ask.region_name(), n % ask.shape.functions));
    Some(format!(
        "{{\"type\":\"AWS_PROXY\",\"httpMethod\":\"POST\",\
         \"uri\":\"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations\"}}"
    ))
}

/// Three paths; two of them call the function.
fn resources(ask: &Ask<'_>, api: &str) -> Option<Reply> {
    let Some(target) = target(ask, api) else { return Some(Reply::json_error(404, "NotFoundException")) };
    let words = List {
        items: "item",
        next: "position",
        arguments: ["position", "limit"],
        usual: 25,
        most: 500,
        refusal: "BadRequestException",
    };
    let whole = ask.arguments.get("embed").is_some_and(|embed| embed.contains("methods"));
    let get = if whole {
        format!("{{\"httpMethod\":\"GET\",\"authorizationType\":\"NONE\",\"methodIntegration\":{target}}}")
    } else {
        "{}".to_owned()
    };
    Some(list(ask, &words, 3, |body, _, n| {
        let methods = if n == 0 { String::new() } else { format!(",\"resourceMethods\":{{\"GET\":{get}}}") };
        add(body, format_args!("{{\"id\":\"part{n}\",\"path\":\"/part{n}\"{methods}}}"));
    }))
}

fn integration(ask: &Ask<'_>, api: &str, method: &str) -> Option<Reply> {
    match target(ask, api).filter(|_| method == "GET") {
        Some(target) => Some(Reply::json(target)),
        None => Some(Reply::json_error(404, "NotFoundException")),
    }
}

fn rules(ask: &Ask<'_>, item: impl Fn(&mut String, &Ask<'_>, usize)) -> Reply {
    let compliance = ask.name == "DescribeComplianceByConfigRule";
    let words = List {
        items: if compliance { "ComplianceByConfigRules" } else { "ConfigRules" },
        next: "NextToken",
        arguments: ["NextToken", "Limit"],
        usual: 25,
        most: 25,
        refusal: "InvalidNextTokenException",
    };
    list(ask, &words, ask.shape.rules, item)
}

fn rule(body: &mut String, ask: &Ask<'_>, n: usize) {
    add(
        body,
        format_args!(
            "{{\"ConfigRuleName\":\"rule-{n:05}\",\
             \"ConfigRuleArn\":\"arn:aws:config:{}:{ACCOUNT}:config-rule/config-rule-{n:05}\",\
             \"ConfigRuleId\":\"config-rule-{n:05}\",\"Description\":\"\",\
             \"Source\":{{\"Owner\":\"AWS\",\"SourceIdentifier\":\"EC2_INSTANCE_NO_PUBLIC_IP\"}},\
             \"ConfigRuleState\":\"ACTIVE\"}}",
            ask.region_name()
        ),
    );
}

fn compliance(body: &mut String, _: &Ask<'_>, n: usize) {
    add(
        body,
        format_args!(
            "{{\"ConfigRuleName\":\"rule-{n:05}\",\"Compliance\":{{\"ComplianceType\":\"NON_COMPLIANT\",\
             \"ComplianceContributorCount\":{{\"CappedCount\":25,\"CapExceeded\":true}}}}}}"
        ),
    );
}

/// Each rule looked at instances: those from its own number on.
fn results(ask: &Ask<'_>) -> Reply {
    let name = ask.argument("ConfigRuleName");
    let Some(first) = number(name).filter(|n| *n < ask.shape.rules) else {
        return Reply::json_error(400, "NoSuchConfigRuleException");
    };
    let words = List {
        items: "EvaluationResults",
        next: "NextToken",
        arguments: ["NextToken", "Limit"],
        usual: 10,
        most: 100,
        refusal: "InvalidNextTokenException",
    };
    let instances = ask.shape.instances;
    list(ask, &words, ask.shape.results.min(instances), |body, ask, n| {
        add(
            body,
            format_args!(
                "{{\"EvaluationResultIdentifier\":{{\"EvaluationResultQualifier\":{{\"ConfigRuleName\":\"{name}\",\
                 \"ResourceType\":\"AWS::EC2::Instance\",\"ResourceId\":\"{}\"}},\"OrderingTimestamp\":1704164645.1}},\
                 \"ComplianceType\":\"NON_COMPLIANT\",\"ResultRecordedTime\":1704164646.2,\
                 \"ConfigRuleInvokedTime\":1704164645.9}}",
                id("i", ask.region, (first + n) % instances)
            ),
        );
    })
}
