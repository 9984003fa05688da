import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Timestamp;
import java.util.ArrayList;
import java.util.List;

/**
 * Java's driver as a Postgres client. It prints what it finds out about the table `live.bpi`, a line for each question; then, for each
 * line of its input, the columns and the rows that one prepared statement gives. From its sixth run on, the driver asks for all columns
 * in their binary format.
 */
public class Jdbc {
    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            DatabaseMetaData about = connection.getMetaData();
            tell(about.getTables(null, "live", "%", new String[] {"TABLE"}), "TABLE_NAME", "TABLE_TYPE");
            tell(about.getTables(null, null, "%", new String[] {"TABLE", "VIEW"}), "TABLE_SCHEM", "TABLE_NAME");
            tell(about.getColumns(null, "live", "bpi", "%"), "COLUMN_NAME", "TYPE_NAME", "DECIMAL_DIGITS");
            tell(about.getPrimaryKeys(null, "live", "bpi"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME");
            tell(about.getIndexInfo(null, "live", "bpi", true, true), "INDEX_NAME", "COLUMN_NAME", "NON_UNIQUE");
            tell(about.getImportedKeys(null, "live", "bpi"), "PKTABLE_NAME");
            tell(about.getExportedKeys(null, "live", "bpi"), "FKTABLE_NAME");
            tell(about.getTypeInfo(), "TYPE_NAME");
            System.out.println(about.getSQLKeywords().contains("vacuum"));
            String query = "SELECT * FROM live.bpi WHERE currency = ? AND trades >= ? AND minute < ? AND money > ?";
            try (PreparedStatement statement = connection.prepareStatement(query)) {
                answer(statement);
            }
        }
    }

    private static void answer(PreparedStatement statement) throws Exception {
        statement.setString(1, "EUR");
        statement.setInt(2, 1);
        statement.setTimestamp(3, Timestamp.valueOf("2026-01-02 00:00:00"));
        statement.setBigDecimal(4, new BigDecimal("70.5"));
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in));
        while (asked.readLine() != null) {
            ResultSet rows = statement.executeQuery();
            List<String> columns = new ArrayList<>();
            for (int n = 1; n <= rows.getMetaData().getColumnCount(); n++) {
                columns.add(rows.getMetaData().getColumnName(n));
            }
            StringBuilder found = new StringBuilder(String.join(",", columns));
            while (rows.next()) {
                found.append(" | ").append(rows.getDouble("price")).append(' ').append(rows.getBigDecimal("money"));
            }
            System.out.println(found);
        }
    }

    private static void tell(ResultSet rows, String... columns) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            List<String> values = new ArrayList<>();
            for (String column : columns) {
                values.add(rows.getString(column));
            }
            found.add(String.join(":", values));
        }
        System.out.println(String.join(" ", found));
    }
}
