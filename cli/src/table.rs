//! Tables for the terminal.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

/// A table whose header is underlined; in the given columns the text stands on the right.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]], right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(header).add_rows(rows);
    for (number, column) in table.column_iter_mut().enumerate() {
        let alignment = if right.contains(&number) { CellAlignment::Right } else { CellAlignment::Left };
        column.set_padding((0, 1)).set_cell_alignment(alignment);
    }
    table.trim_fmt()
}
