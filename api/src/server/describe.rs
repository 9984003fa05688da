//! What all operations have in common, put into the OpenAPI document in one place: how they reject, and the headers of commands.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder};

use crate::PROBLEM_JSON;

/// The commands that look at `If-Match`, by the end of their paths.
const CONDITIONAL: [&str; 3] = ["/promote", "/rollback", "/abort"];

/// The document with what holds for every operation.
pub(super) fn described(mut document: OpenApi) -> OpenApi {
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
        let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        all.into_iter().flatten().for_each(rejects);
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

/// Every operation rejects in one form.
fn rejects(operation: &mut Operation) {
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = ResponseBuilder::new().description("every rejection").content(PROBLEM_JSON, problem).build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(response));
}
