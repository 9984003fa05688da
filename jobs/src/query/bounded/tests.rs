use super::*;

async fn answer(sql: &str) -> Result<String> {
    let session = SessionContext::new();
    bound_functions(&session);
    let batches = session.sql(sql).await?.collect().await?;
    Ok(arrow::util::pretty::pretty_format_batches(&batches)?.to_string())
}

#[tokio::test]
async fn what_one_line_would_blow_up_is_refused_before_it_is_made() {
    for sql in [
        "SELECT length(repeat('x', 800000000))",
        "SELECT length(lpad('x', 800000000))",
        "SELECT length(rpad(column1, 800000000, 'y')) FROM (VALUES ('a'), ('b'))",
        "SELECT array_length(range(0, 150000000))",
        "SELECT array_length(range(150000000))",
        "SELECT array_length(generate_series(TIMESTAMP '2020-01-01', TIMESTAMP '2020-01-02', INTERVAL '1 microsecond'))",
        "SELECT array_length(array_repeat(repeat('x', 100000), 100000))",
        "SELECT array_length(array_resize(make_array(1), 500000000, 0))",
        "SELECT length(replace(repeat('a', 1000000), 'a', repeat('b', 1000000)))",
        "SELECT length(repeat(column1, 200000000)) FROM (VALUES ('a'), ('b'))",
    ] {
        let refused = answer(sql).await.unwrap_err().strip_backtrace();
        assert!(refused.contains("ask it for less"), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn what_people_write_is_answered_as_without_bounds() {
    for sql in [
        "SELECT repeat('ab', 3), repeat(NULL, 3), repeat('ab', -1), lpad('a', 5, 'xy'), rpad('a', 3), replace('aXbX', 'X', '--')",
        "SELECT range(3), range(1, 9, 2), range(5, 1, -1), generate_series(1, 3), array_repeat('x', 2), list_repeat(1, 2)",
        "SELECT array_resize(make_array(1, 2), 4, 0), generate_series(DATE '2020-01-01', DATE '2020-03-01', INTERVAL '1 month')",
        "SELECT repeat(column1, column2), rpad(column1, column2) FROM (VALUES ('a', 1), (NULL, 2), ('b', NULL))",
    ] {
        let plain = SessionContext::new().sql(sql).await.unwrap().collect().await.unwrap();
        let plain = arrow::util::pretty::pretty_format_batches(&plain).unwrap().to_string();
        assert_eq!(answer(sql).await.unwrap(), plain, "{sql}");
    }
}

#[tokio::test]
async fn lists_and_texts_that_are_replaced_or_joined_are_bounded_too() {
    for sql in [
        "SELECT length(regexp_replace(repeat('a', 60000), 'a', repeat('b', 60000), 'g'))",
        "SELECT length(array_to_string(range(0, 8000), repeat('x', 60000)))",
        "SELECT array_length(array_replace_all(array_repeat('a', 7000), 'a', repeat('x', 60000)))",
        "SELECT array_length(array_repeat('', 100000000))",
        "SELECT array_length(array_repeat(NULL, 100000000))",
        "SELECT length(regexp_replace(column1, 'x', column1, 'g')) FROM (VALUES (repeat('x', 60000)))",
    ] {
        let refused = answer(sql).await.unwrap_err().strip_backtrace();
        assert!(refused.contains("ask it for less"), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn all_constants_of_a_query_are_bounded_together() {
    let many = |n: usize, bytes: usize| {
        let calls: Vec<String> = (0..n).map(|i| format!("length(repeat('x', {})) AS c{i}", bytes + i)).collect();
        format!("SELECT {}", calls.join(", "))
    };
    let refused = answer(&many(5, 60_000_000)).await.unwrap_err().strip_backtrace();
    assert!(refused.contains("ask it for less"), "{refused}");
    assert!(answer(&many(1_000, 1_000)).await.is_ok());
    assert!(answer(&many(10, 1_000_000)).await.is_ok());
}

/// A function's answers, row by row, for a batch and for each of its rows alone.
#[tokio::test]
async fn what_a_row_is_worth_depends_on_that_row_alone() {
    let session = SessionContext::new();
    bound_functions(&session);
    for call in ["array_repeat(n, 600)", "array_repeat(tags, 30)", "array_resize(tags, 600, 'x')"] {
        let sql = format!(
            "SELECT count(*) FILTER (WHERE {call} IS NOT NULL) FROM (SELECT value AS n, make_array('a', 'bc') AS tags FROM generate_series(1, 8192))"
        );
        let batches = session.sql(&sql).await.unwrap().collect().await.unwrap();
        assert!(arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string().contains("8192"), "{call}");
    }
    let large: ArrayRef = Arc::new(arrow::array::Int64Array::from_iter_values(0..65_536));
    for (array, each) in [(large.clone(), 8), (cast_to_list(&large), 8)] {
        let one = ColumnarValue::Array(array.slice(40_000, 1));
        let times = ColumnarValue::Scalar(datafusion::common::ScalarValue::Int64(Some(600)));
        assert_eq!(Grows::RepeatsItem.bytes(&[one, times], 1).unwrap(), [600 * (each + 8)]);
    }
}

/// Each value as a list of one.
fn cast_to_list(values: &ArrayRef) -> ArrayRef {
    let field = Arc::new(arrow::datatypes::Field::new_list_field(values.data_type().clone(), true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths(std::iter::repeat_n(1, values.len()));
    Arc::new(arrow::array::ListArray::new(field, offsets, values.clone(), None))
}

#[tokio::test]
async fn a_batch_whose_results_are_guessed_too_large_is_answered_in_parts() {
    let sql = "SELECT count(*), sum(length(regexp_replace(v, '^x', repeat('y', 10000)))) FROM (SELECT repeat('x', 10000 + value % 2) AS v FROM generate_series(1, 100))";
    let text = answer(sql).await.unwrap();
    assert!(text.contains("100") && text.contains(&(100 * 19_999 + 50).to_string()), "{text}");
}
