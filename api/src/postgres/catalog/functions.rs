//! Functions that Postgres clients call and DataFusion has not. Most have one answer here: there are no indexes, no comments, no
//! roles. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr_fn::SimpleScalarUDF;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility, create_udf,
};
use datafusion::prelude::SessionContext;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{self, array_bounds_udf, quote_ident_udf};

use super::super::settings;
use super::{DATABASE, LIVE, SYSTEM};

/// Functions that give a text that is not there.
const NO_TEXT: [&str; 18] = [
    "col_description",
    "inet_client_addr",
    "inet_server_addr",
    "obj_description",
    "pg_get_function_arguments",
    "pg_get_function_identity_arguments",
    "pg_get_function_result",
    "pg_advisory_unlock_all",
    "pg_get_function_sqlbody",
    "pg_get_functiondef",
    "pg_get_ruledef",
    "pg_get_serial_sequence",
    "pg_get_statisticsobjdef",
    "pg_get_triggerdef",
    "pg_get_viewdef",
    "pg_size_pretty",
    "pg_tablespace_location",
    "shobj_description",
];

/// Functions that give a number that is not known; clients ask for types of extensions, of which there are none.
const NO_NUMBER: [&str; 9] = [
    "inet_client_port",
    "inet_server_port",
    "pg_char_to_encoding",
    "pg_database_size",
    "pg_indexes_size",
    "pg_table_size",
    "pg_tablespace_size",
    "to_regnamespace",
    "to_regtype",
];

/// Functions that say yes of everything.
const YES: [&str; 11] = [
    "pg_collation_is_visible",
    "pg_conversion_is_visible",
    "pg_function_is_visible",
    "pg_opclass_is_visible",
    "pg_operator_is_visible",
    "pg_opfamily_is_visible",
    "pg_ts_config_is_visible",
    "pg_ts_dict_is_visible",
    "pg_ts_parser_is_visible",
    "pg_ts_template_is_visible",
    "pg_type_is_visible",
];

/// Functions that say no of everything.
const NO: [&str; 3] = ["pg_is_in_recovery", "pg_is_other_temp_schema", "row_security_active"];

/// The functions that are the same for all queries.
pub(super) struct Functions(Vec<Arc<ScalarUDF>>);

impl Functions {
    pub(super) fn new() -> Self {
        let version = format!("PostgreSQL {} (rekap {})", settings::SERVER_VERSION, env!("CARGO_PKG_VERSION"));
        let mut all = vec![
            told("version", ScalarValue::from(version)),
            told("current_schema", ScalarValue::from(LIVE)),
            told("getdatabaseencoding", ScalarValue::from("UTF8")),
            told("pg_get_userbyid", ScalarValue::from(DATABASE)),
            told("pg_my_temp_schema", ScalarValue::Int32(Some(0))),
            current_schemas(),
            pg_catalog::create_current_database_udf(DATABASE),
            format_type(),
            pg_catalog::pg_get_expr_udf::create_pg_get_expr_udf(),
            pg_catalog::create_pg_get_partkeydef_udf(),
            pg_catalog::create_pg_relation_is_publishable_udf(),
            pg_catalog::create_pg_get_statisticsobjdef_columns_udf(),
            pg_catalog::create_pg_encoding_to_char_udf(),
            pg_catalog::create_pg_backend_pid_udf(),
            pg_catalog::create_pg_relation_size_udf(),
            pg_catalog::create_pg_total_relation_size_udf(),
            pg_catalog::create_pg_stat_get_numscans(),
            pg_catalog::create_pg_get_partition_ancestors_udf(),
            quote_ident_udf::create_quote_ident_udf(),
            quote_ident_udf::create_parse_ident_udf(),
            array_bounds_udf::create_array_upper_udf(),
            array_bounds_udf::create_array_lower_udf(),
        ];
        let privileges =
            ["has_table_privilege", "has_schema_privilege", "has_database_privilege", "has_any_column_privilege"];
        all.extend(privileges.map(pg_catalog::has_privilege_udf::create_has_privilege_udf));
        all.extend(NO_TEXT.map(|name| told(name, ScalarValue::Utf8(None))));
        all.extend(NO_NUMBER.map(|name| told(name, ScalarValue::Int64(None))));
        all.extend(YES.map(|name| told(name, ScalarValue::from(true))));
        all.extend(NO.map(|name| told(name, ScalarValue::from(false))));
        Functions(all.into_iter().map(Arc::new).collect())
    }

    /// Gives a query these functions, and those that tell of its session.
    pub(super) fn register(&self, context: &SessionContext, said: &HashMap<String, String>) {
        let user = said.get("user").map_or(DATABASE, String::as_str);
        let of_session = [
            told("session_user", ScalarValue::from(user)),
            told("current_user", ScalarValue::from(user)),
            setting(said),
            set_config(),
        ];
        let state = context.state_ref();
        let mut state = state.write();
        for function in self.0.iter().cloned().chain(of_session.map(Arc::new)) {
            // A session refuses no scalar function.
            let _ = state.register_udf(function);
        }
    }
}

/// `format_type(type, modifier)`, as the library tells it, which knows no records.
fn format_type() -> ScalarUDF {
    let known = pg_catalog::format_type::create_format_type_udf();
    FormatType { signature: known.signature().clone(), known }.into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FormatType {
    known: ScalarUDF,
    signature: Signature,
}

impl ScalarUDFImpl for FormatType {
    fn name(&self) -> &str {
        "format_type"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let told = self.known.invoke_with_args(args)?.into_array(1)?;
        let told = told.as_string::<i32>().iter().map(|name| match name {
            Some("oid(2249)") => Some("record"),
            Some("oid(2287)") => Some("record[]"),
            other => other,
        });
        Ok(ColumnarValue::Array(Arc::new(StringArray::from_iter(told))))
    }
}

/// A function that gives one type, whatever it is asked.
pub(super) fn function(
    name: &'static str,
    signature: TypeSignature,
    kind: DataType,
    volatility: Volatility,
    of: impl Fn(&[ColumnarValue]) -> Result<ColumnarValue> + Send + Sync + 'static,
) -> ScalarUDF {
    SimpleScalarUDF::new_with_signature(name, Signature::new(signature, volatility), kind, Arc::new(of)).into()
}

/// A function with one answer, whatever it is asked.
fn told(name: &'static str, answer: ScalarValue) -> ScalarUDF {
    let any = TypeSignature::OneOf(vec![TypeSignature::Nullary, TypeSignature::VariadicAny]);
    function(name, any, answer.data_type(), Volatility::Stable, move |_| Ok(ColumnarValue::Scalar(answer.clone())))
}

/// `current_schemas(with the implicit ones?)`.
fn current_schemas() -> ScalarUDF {
    let list = |args: &[ColumnarValue]| {
        let asked = ColumnarValue::values_to_arrays(args)?;
        let mut lists = ListBuilder::new(StringBuilder::new());
        for implicit in asked[0].as_boolean() {
            if implicit == Some(true) {
                lists.values().append_value(SYSTEM);
            }
            lists.values().append_value(LIVE);
            lists.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
    };
    let kind = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    create_udf("current_schemas", vec![DataType::Boolean], kind, Volatility::Stable, Arc::new(list))
}

/// `current_setting(name)`, with or without a second argument that makes a name that is not there NULL.
fn setting(said: &HashMap<String, String>) -> ScalarUDF {
    let said = said.clone();
    let one = TypeSignature::Exact(vec![DataType::Utf8]);
    let two = TypeSignature::Exact(vec![DataType::Utf8, DataType::Boolean]);
    let signature = TypeSignature::OneOf(vec![one, two]);
    function("current_setting", signature, DataType::Utf8, Volatility::Stable, move |args| {
        let args = ColumnarValue::values_to_arrays(args)?;
        let lenient = args.get(1).is_some_and(|lenient| !lenient.is_empty() && lenient.as_boolean().value(0));
        let mut values = Vec::with_capacity(args[0].len());
        for name in args[0].as_string::<i32>() {
            match name.map(|name| settings::get(&said, name).map(str::to_owned)) {
                Some(None) if !lenient => {
                    return exec_err!("unrecognized configuration parameter \"{}\"", name.unwrap_or_default());
                }
                value => values.push(value.flatten()),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(StringArray::from(values))))
    })
}

/// `set_config(name, value, …)`, which drivers call for settings that mean nothing here: it gives the value back. `SET` it is for others.
fn set_config() -> ScalarUDF {
    let give = |args: &[ColumnarValue]| {
        let args = ColumnarValue::values_to_arrays(args)?;
        if let Some(name) = args[0].as_string::<i32>().iter().flatten().find(|name| settings::has_effect(name)) {
            return exec_err!("\"{name}\" is set by SET here, not by set_config()");
        }
        Ok(ColumnarValue::Array(args[1].clone()))
    };
    let kinds = vec![DataType::Utf8, DataType::Utf8, DataType::Boolean];
    create_udf("set_config", kinds, DataType::Utf8, Volatility::Volatile, Arc::new(give))
}
