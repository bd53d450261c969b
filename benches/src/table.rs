//! Tables as Markdown has them.

/// A table: the first row is its head, and all columns but the first are numbers.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let [head, rows @ ..] = rows else { return String::new() };
    let rule: String = head.iter().enumerate().map(|(column, _)| if column == 0 { "|---" } else { "|---:" }).collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{rule}|\n{body}", line(head))
}

/// The median.
///
/// # Panics
/// If there is no value.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
