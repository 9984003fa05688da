//! What all operations have in common, put into the OpenAPI document in one place: how they reject, the headers of commands, and that a
//! command takes a `note`.

pub(super) mod shapes;

use std::collections::BTreeSet;

use axum::http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};

use super::access;
use crate::PROBLEM_JSON;

/// Commands about these look at `If-Match`.
const HAVE_ETAGS: [&str; 2] = ["/v1/jobs/{job}", "/v1/groups/{group}"];

/// Those of them that do not, since they change nothing that the ETag counts.
const UNCONDITIONAL: [&str; 2] = ["/plan", "/drill"];

/// Where an operation says the least role that it takes.
const ROLE: &str = "x-rekap-role";

/// As which every `body` is described that says nothing else.
const JSON: &str = "application/json";

/// The name of the way in which requests say who sends them.
const TOKEN: &str = "token";

/// The document with what holds for every operation.
pub(super) fn described(mut document: OpenApi) -> OpenApi {
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().add_security_scheme(TOKEN, bearer);
    // The empty one: a server on loopback may want no token.
    document.security = Some(vec![SecurityRequirement::new(TOKEN, [""; 0]), SecurityRequirement::default()]);
    let mut arguments = BTreeSet::new();
    for (path, item) in &mut document.paths.paths {
        let all = [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in all {
            let Some(operation) = operation else { continue };
            rejects(operation);
            headers(&method, path, operation);
            arguments.extend(arguments_of(operation));
            if let Some(role) = access::role_of(&method, path) {
                operation.extensions.get_or_insert_default().insert(ROLE.to_owned(), role.into());
            }
        }
    }
    commands(&mut document, &arguments);
    document
}

/// The headers that a command looks at.
fn headers(method: &Method, path: &str, operation: &mut Operation) {
    if *method == Method::POST {
        let what = "sent again within 24 h with the same body, the command is not done again";
        add(operation, header("Idempotency-Key", what));
    }
    let command = [Method::POST, Method::DELETE].contains(method);
    let counted = HAVE_ETAGS.iter().any(|thing| path.starts_with(thing));
    if command && counted && !UNCONDITIONAL.iter().any(|end| path.ends_with(end)) {
        add(operation, header("If-Match", "its ETag: refused with 412 when it has changed since"));
    }
}

/// The name of the schema of a command's arguments.
fn arguments_of(operation: &Operation) -> Option<String> {
    let RefOr::T(body) = operation.request_body.as_ref()? else { return None };
    let RefOr::T(content) = body.content.get(JSON)? else { return None };
    let Some(RefOr::Ref(schema)) = &content.schema else { return None };
    schema.ref_location.rsplit('/').next().map(str::to_owned)
}

/// Every command takes a note, and where nothing has to be said it does without a body. A `PUT` has to say what is to be.
fn commands(document: &mut OpenApi, arguments: &BTreeSet<String>) {
    let mut optional = BTreeSet::new();
    let schemas = &mut document.components.get_or_insert_default().schemas;
    for name in arguments {
        let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) else { continue };
        object.properties.insert("note".to_owned(), shapes::note().into());
        if object.required.is_empty() {
            optional.insert(name.clone());
        }
    }
    for item in document.paths.paths.values_mut() {
        for operation in [&mut item.post, &mut item.delete].into_iter().flatten() {
            if arguments_of(operation).is_some_and(|name| optional.contains(&name))
                && let Some(RefOr::T(body)) = &mut operation.request_body
            {
                body.required = Some(Required::False);
            }
        }
    }
}

/// One more parameter.
fn add(operation: &mut Operation, parameter: Parameter) {
    operation.parameters.get_or_insert_default().push(RefOr::T(parameter));
}

/// An optional header.
fn header(name: &str, what: &str) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(what))
        .schema(Some(text))
        .build()
}

/// Every operation rejects in one form, and as one media type.
fn rejects(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let is_problem = response
            .content
            .get(JSON)
            .is_some_and(|content| matches!(content, RefOr::T(content) if content.schema == Some(problem_schema())));
        if is_problem && let Some(content) = response.content.shift_remove(JSON) {
            response.content.insert(PROBLEM_JSON.to_owned(), content);
        }
    }
    let problem = ContentBuilder::new().schema(Some(problem_schema())).build();
    let response = ResponseBuilder::new().description("every rejection").content(PROBLEM_JSON, problem).build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
}

fn problem_schema() -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name("Problem"))
}
