//! What all operations have in common, put into the OpenAPI document in one place: how they reject, and the headers of commands.

use axum::http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};

use super::access;
use crate::PROBLEM_JSON;

/// The commands that look at `If-Match`, by the end of their paths.
const CONDITIONAL: [&str; 3] = ["/promote", "/rollback", "/abort"];

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
    for (path, item) in &mut document.paths.paths {
        if let Some(post) = &mut item.post {
            add(
                post,
                header("Idempotency-Key", "sent again within 24 h with the same body, the command is not done again"),
            );
            if CONDITIONAL.iter().any(|end| path.ends_with(end)) {
                add(post, header("If-Match", "the job's ETag: refused with 412 when the job has changed since"));
            }
        }
        let all = [
            (Method::GET, &mut item.get),
            (Method::PUT, &mut item.put),
            (Method::POST, &mut item.post),
            (Method::DELETE, &mut item.delete),
        ];
        for (method, operation) in all {
            let Some(operation) = operation else { continue };
            rejects(operation);
            if let Some(role) = access::role_of(&method, path) {
                operation.extensions.get_or_insert_default().insert(ROLE.to_owned(), role.into());
            }
        }
    }
    document
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
