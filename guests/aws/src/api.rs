//! Functions, and the REST APIs that trigger them.

use crate::ec2::{SECURITY_GROUP, VPC};
use crate::iam::add;
use crate::path::{self, Names};
use crate::spec::{Resource, Source, Step, Table, ask, detail, from, regional, to};
use serde_json::Value;

/// Functions.
pub const FUNCTION: &str = "aws_lambda_function";
/// The colons in the ARN of a function; one with an alias or a version has one more.
const COLONS: usize = 6;

const FUNCTIONS: Step = regional(
    "lambda-functions",
    "Functions",
    Table {
        source: &Source::List(ask("lambda:ListFunctions", "Functions")),
        details: &[detail("_tags", "lambda:ListTags", &[("function_arn", "{FunctionArn}")], "")],
        resources: &[Resource {
            kind: FUNCTION,
            class: &["Function", "Workload"],
            key: "{FunctionArn}",
            name: "FunctionName",
            // Environment variables hold secrets, and the place of the code is a signed address: neither is kept.
            props: "arn=FunctionArn name=FunctionName description=Description runtime=Runtime handler=Handler \
                    packageType=PackageType codeSha256=CodeSha256 #timeoutSeconds=Timeout #memoryMb=MemorySize \
                    @updatedOn=LastModified state=State kmsKeyArn=KMSKeyArn roleArn=Role vpcId=VpcConfig/VpcId \
                    *subnetIds=VpcConfig/SubnetIds *securityGroupIds=VpcConfig/SecurityGroupIds \
                    *architectures=Architectures",
            tags: "_tags/Tags",
            links: &[
                from("HAS", "aws_lambda", ".", "aws_lambda:{ACCOUNT}"),
                to("HAS", "aws_iam_role", ".", "{Role}"),
                to("HAS", VPC, "VpcConfig", "arn:{P}:ec2:{REGION}:{ACCOUNT}:vpc/{VpcId}"),
                to(
                    "HAS",
                    SECURITY_GROUP,
                    "VpcConfig/SecurityGroupIds",
                    "arn:{P}:ec2:{REGION}:{ACCOUNT}:security-group/{.}",
                ),
            ],
            ..Resource::NEW
        }],
        ..Table::NEW
    },
);

const REST_APIS: Step = regional(
    "apigateway-rest-apis",
    "REST APIs and what they trigger",
    Table {
        source: &Source::List(ask("apigateway:GetRestApis", "item|items")),
        details: &[detail("_resources", "apigateway:GetResources", &[("restapi_id", "{id}")], "item|items")],
        prepare: Some(rest_api),
        resources: &[Resource {
            kind: "aws_apigateway_rest_api",
            class: &["Gateway"],
            key: "arn:{P}:apigateway:{REGION}::/restapis/{id}",
            name: "name",
            props: "id name description version @createdOn=createdDate apiKeySource *endpointTypes=endpointConfiguration/types \
                    ?defaultEndpointDisabled=disableExecuteApiEndpoint minimumTlsVersion=securityPolicy",
            tags: "tags",
            links: &[
                from("HAS", "aws_apigateway", ".", "aws_apigateway:{ACCOUNT}"),
                to("TRIGGERS", FUNCTION, "_functions", "{.}"),
            ],
            ..Resource::NEW
        }],
    },
);

/// Adds, as `_functions`, the functions that a method's integration calls.
fn rest_api(value: &mut Value, _: &Names) {
    let integrations = path::each(value, "_resources/resourceMethods/*/methodIntegration").into_iter();
    let calling = integrations.filter(|i| path::text(i, "type").is_some_and(|t| t == "AWS" || t == "AWS_PROXY"));
    let functions = calling.filter_map(|i| function(&path::text(i, "uri")?).map(Value::String)).collect();
    add(value, "_functions", Some(Value::Array(functions)));
}

/// The function in the address of an integration, without alias or version. One that a stage's variable names is not known.
fn function(uri: &str) -> Option<String> {
    let arn = uri.split_once(":lambda:path/2015-03-31/functions/")?.1.strip_suffix("/invocations")?;
    let known = arn.starts_with("arn:") && !arn.contains("${");
    known.then(|| arn.split(':').take(COLONS + 1).collect::<Vec<_>>().join(":"))
}

/// The steps.
pub const STEPS: &[&Step] = &[&FUNCTIONS, &REST_APIS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_integrations() {
        let uri = |function: &str| {
            format!("arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{function}/invocations")
        };
        let plain = "arn:aws:lambda:eu-west-1:111111111111:function:hello";
        assert_eq!(function(&uri(plain)).as_deref(), Some(plain));
        assert_eq!(function(&uri(&format!("{plain}:live"))).as_deref(), Some(plain));
        for other in [&uri("${stageVariables.fn}"), &uri(&format!("{plain}-${{stageVariables.x}}")), "http://x", ""] {
            assert_eq!(function(other), None);
        }
    }
}
