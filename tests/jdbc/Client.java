import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/**
 * Does with JDBC what DBeaver, Tableau and programs do, and prints what came of each step: a line of JSON with {@code step} and
 * {@code value}, or {@code error}. What is right is said by test_jdbc.py.
 */
public final class Client {
    private interface Step {
        Object run() throws Exception;
    }

    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "metadata" -> metadata(arguments[1], arguments[2]);
            case "statements" -> statements(arguments[1], arguments[2], Path.of(arguments[3]));
            case "cancel" -> cancel(arguments[1]);
            case "sign-in" -> signIn(arguments[1], Arrays.asList(arguments).subList(2, arguments.length));
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    /** Asks everything that {@link DatabaseMetaData} answers, of a server that has the table {@code table}. */
    private static void metadata(String url, String table) throws Exception {
        try (Connection connection = DriverManager.getConnection(url)) {
            DatabaseMetaData meta = connection.getMetaData();
            Method[] methods = DatabaseMetaData.class.getMethods();
            Arrays.sort(methods, Comparator.comparing(Method::getName));
            for (Method method : methods) {
                if (method.getParameterCount() == 0 && !method.getName().equals("getConnection")) {
                    step(method.getName(), () -> invoke(method, meta));
                }
            }
            String[] tablesAndViews = {"TABLE", "VIEW"};
            step("schemas like", () -> meta.getSchemas(null, "ma%"));
            step("all tables", () -> meta.getTables(null, null, null, null));
            step("tables of a type", () -> meta.getTables(null, "%", "%", tablesAndViews));
            step("tables of no type", () -> meta.getTables(null, null, "%", new String[] {"SEQUENCE"}));
            step("tables like", () -> meta.getTables("ruvector", "main", table.substring(0, table.length() - 1) + "_", null));
            step("tables of another catalog", () -> meta.getTables("elsewhere", null, "%", null));
            step("columns", () -> meta.getColumns(null, null, table, null));
            step("columns like", () -> meta.getColumns("ruvector", "main", table, "v%"));
            step("all columns", () -> meta.getColumns(null, null, "%", "%"));
            step("primary keys", () -> meta.getPrimaryKeys(null, "main", table));
            step("imported keys", () -> meta.getImportedKeys(null, "main", table));
            step("exported keys", () -> meta.getExportedKeys(null, "main", table));
            step("cross reference", () -> meta.getCrossReference(null, "main", table, null, "main", table));
            step("indexes", () -> meta.getIndexInfo(null, "main", table, false, true));
            step("best row", () -> meta.getBestRowIdentifier(null, "main", table, DatabaseMetaData.bestRowSession, true));
            step("version columns", () -> meta.getVersionColumns(null, "main", table));
            step("procedures", () -> meta.getProcedures(null, null, "%"));
            step("procedure columns", () -> meta.getProcedureColumns(null, null, "%", "%"));
            step("functions", () -> meta.getFunctions(null, null, "%"));
            step("function columns", () -> meta.getFunctionColumns(null, null, "%", "%"));
            step("table privileges", () -> meta.getTablePrivileges(null, null, "%"));
            step("column privileges", () -> meta.getColumnPrivileges(null, null, table, "%"));
            step("types of users", () -> meta.getUDTs(null, null, "%", null));
            step("super types", () -> meta.getSuperTypes(null, null, "%"));
            step("super tables", () -> meta.getSuperTables(null, null, "%"));
            step("attributes", () -> meta.getAttributes(null, null, "%", "%"));
            step("pseudo columns", () -> meta.getPseudoColumns(null, null, "%", "%"));
            step("converts", () -> meta.supportsConvert(Types.INTEGER, Types.VARCHAR));
            step("forward only", () -> meta.supportsResultSetType(ResultSet.TYPE_FORWARD_ONLY));
            step("no isolation", () -> meta.supportsTransactionIsolationLevel(Connection.TRANSACTION_NONE));
            step("valid", () -> connection.isValid(5));
        }
    }

    /** Makes the table {@code table}, fills it with the vectors of a file, whose first is the question, searches and changes it. */
    private static void statements(String url, String table, Path file) throws Exception {
        List<Float[]> vectors = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            vectors.add(Arrays.stream(line.split(",")).map(Float::valueOf).toArray(Float[]::new));
        }
        Float[] question = vectors.remove(0);
        String text = Arrays.toString(question);
        int dim = question.length;
        try (Connection connection = DriverManager.getConnection(url);
                Statement statement = connection.createStatement()) {
            String create = "CREATE TABLE " + table + " (id BIGINT, word VARCHAR, vec FLOAT[" + dim + "])";
            step("create has rows", () -> statement.execute(create));
            step("create count", statement::getUpdateCount);
            step("create again", () -> statement.execute(create));
            step("insert count", () -> statement.executeUpdate("INSERT INTO " + table + " (id) VALUES (-1), (-2)"));
            step("insert has rows", () -> statement.execute("INSERT INTO " + table + " (id) VALUES (-3)"));
            step("insert count after", statement::getUpdateCount);
            step("large insert count", () -> statement.executeLargeUpdate("INSERT INTO " + table + " (id) VALUES (-4)"));

            String insert = "INSERT INTO " + table + " VALUES (?, ?, ?)";
            try (PreparedStatement prepared = connection.prepareStatement(insert)) {
                step("parameters", () -> prepared.getParameterMetaData().getParameterCount());
                step("prepared insert", () -> bind(connection, prepared, 0, "it's ü", vectors.get(0)).executeUpdate());
                step("prepared null", () -> bind(connection, prepared, -5, null, null).executeUpdate());
                step("batch", () -> {
                    for (int row = 1; row < vectors.size(); row++) {
                        bind(connection, prepared, row, "row " + row, vectors.get(row)).addBatch();
                    }
                    return Arrays.stream(prepared.executeBatch()).sum();
                });
            }
            step("wrong dimension", () -> statement.executeUpdate("INSERT INTO " + table + " (vec) VALUES ([1.0])"));
            step("ids", () -> column(statement.executeQuery("SELECT id FROM " + table + " ORDER BY id")));
            step("vectors", () -> {
                String select = "SELECT id, vec FROM " + table + " WHERE id IN (0, 7) ORDER BY id";
                return statement.executeQuery(select);
            });
            step("null", () -> statement.executeQuery("SELECT word, vec FROM " + table + " WHERE id = -5"));
            step("index", () -> statement.execute("CREATE INDEX " + table + "_vec ON " + table + " USING rabitq_plus (vec)"));

            step("knn", () -> statement.executeQuery("SELECT id, _distance FROM knn('" + table + "', " + text + ", 10)"));
            String knn = "SELECT id, _distance FROM knn('" + table + "', ?, ?)";
            try (PreparedStatement prepared = connection.prepareStatement(knn)) {
                step("knn of a parameter", () -> {
                    prepared.setArray(1, connection.createArrayOf("FLOAT", question));
                    prepared.setLong(2, 10);
                    return prepared.executeQuery();
                });
                step("knn of another", () -> {
                    prepared.setArray(1, connection.createArrayOf("FLOAT", vectors.get(7)));
                    prepared.setLong(2, 1);
                    return prepared.executeQuery();
                });
            }
            String knnOfText = "SELECT id, _distance FROM knn('" + table + "', CAST(? AS FLOAT[" + dim + "]), 10)";
            try (PreparedStatement prepared = connection.prepareStatement(knnOfText)) {
                step("knn of a text", () -> {
                    prepared.setString(1, text);
                    return prepared.executeQuery();
                });
            }
            String where = "SELECT id, word FROM " + table + " WHERE id BETWEEN ? AND ? AND word LIKE ? ORDER BY id";
            try (PreparedStatement prepared = connection.prepareStatement(where)) {
                step("where", () -> {
                    prepared.setInt(1, 0);
                    prepared.setLong(2, 9);
                    prepared.setString(3, "row %");
                    return prepared.executeQuery();
                });
            }
            step("nothing found", () -> statement.executeQuery("SELECT id, word FROM " + table + " WHERE id = -99"));
            step("types", () -> statement.executeQuery("SELECT 1::TINYINT AS a, 1::SMALLINT AS b, 1::INT AS c, 1::BIGINT AS d, "
                    + "1.5::FLOAT AS e, 1.5::DOUBLE AS f, true AS g, 1.25::DECIMAL(10,2) AS h, DATE '2026-01-02' AS i, "
                    + "TIMESTAMP '2026-01-02 03:04:05' AS j, X'00ff' AS k, NULL AS l, [1, 2] AS m, "
                    + "arrow_cast('x', 'Utf8View') AS n, arrow_cast('x', 'Dictionary(Int32, Utf8)') AS o"));
            step("update count", () -> statement.executeUpdate("UPDATE " + table + " SET word = 'new' WHERE id < 0"));
            step("delete count", () -> statement.executeUpdate("DELETE FROM " + table + " WHERE id < 0"));
            step("count", () -> column(statement.executeQuery("SELECT count(*) FROM " + table)));

            step("no column", () -> statement.executeQuery("SELECT nothing FROM " + table));
            step("no table", () -> statement.executeQuery("SELECT * FROM nowhere"));
            step("no SQL", () -> statement.executeQuery("SELEC 1"));
            step("no vector", () -> statement.executeQuery("SELECT id FROM knn('" + table + "', [1.0], 3)"));
            step("in the rows", () -> statement.executeQuery("SELECT 1 / (value - 5) FROM generate_series(1, 10)"));
            step("after errors", () -> column(statement.executeQuery("SELECT 1")));

            step("set", () -> statement.execute("SET datafusion.execution.batch_size = 100"));
            step("setting lasts", () -> {
                String show = "SELECT value FROM information_schema.df_settings WHERE name = 'datafusion.execution.batch_size'";
                try (Statement other = connection.createStatement()) {
                    return column(other.executeQuery(show));
                }
            });
            step("at most", () -> {
                try (Statement other = connection.createStatement()) {
                    other.setMaxRows(2);
                    return column(other.executeQuery("SELECT value FROM generate_series(1, 1000)"));
                }
            });
            step("drop", () -> statement.execute("DROP TABLE " + table));
        }
    }

    /** Gives queries up that never end. The connections stay open: close() calls what had been read of them a leak. */
    private static void cancel(String url) throws Exception {
        Statement late = DriverManager.getConnection(url).createStatement();
        late.setQueryTimeout(1);
        step("time is up", () -> late.executeQuery("SELECT sum(value % 7) FROM generate_series(1, 1000000000000)"));

        Connection connection = DriverManager.getConnection(url);
        Statement statement = connection.createStatement();
        ResultSet rows = statement.executeQuery("SELECT value FROM generate_series(1, 1000000000000)");
        step("first row", rows::next);
        step("cancelled", () -> {
            statement.cancel();
            while (rows.next()) {}
            return "all rows";
        });
        step("after", () -> column(connection.createStatement().executeQuery("SELECT 2")));
        Runtime.getRuntime().halt(0);
    }

    /** Connects with the properties {@code name=value;name=value} of each argument, and asks one query. */
    private static void signIn(String query, List<String> connections) throws Exception {
        for (String each : connections) {
            Properties properties = new Properties();
            String[] parts = each.split(";");
            for (String pair : Arrays.asList(parts).subList(1, parts.length)) {
                int at = pair.indexOf('=');
                properties.setProperty(pair.substring(0, at), pair.substring(at + 1));
            }
            step(each, () -> {
                try (Connection connection = DriverManager.getConnection(parts[0], properties);
                        Statement statement = connection.createStatement()) {
                    return column(statement.executeQuery(query));
                }
            });
        }
    }

    private static PreparedStatement bind(Connection connection, PreparedStatement insert, long id, String word, Float[] vector)
            throws SQLException {
        insert.setLong(1, id);
        insert.setString(2, word);
        if (vector == null) {
            insert.setNull(3, Types.ARRAY);
        } else {
            insert.setArray(3, connection.createArrayOf("FLOAT", vector));
        }
        return insert;
    }

    private static Object invoke(Method method, Object of) throws Exception {
        try {
            return method.invoke(of);
        } catch (InvocationTargetException error) {
            throw error.getCause() instanceof Exception cause ? cause : error;
        }
    }

    private static List<Object> column(ResultSet rows) throws SQLException {
        List<Object> values = new ArrayList<>();
        try (rows) {
            while (rows.next()) {
                values.add(rows.getObject(1));
            }
        }
        return values;
    }

    private static void step(String name, Step step) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("step", name);
        StringBuilder json = new StringBuilder();
        try {
            line.put("value", step.run());
            write(json, line);
        } catch (Exception error) {
            json.setLength(0);
            line.remove("value");
            line.put("error", error.getClass().getName() + ": " + error.getMessage());
            try {
                write(json, line);
            } catch (SQLException impossible) {
                throw new IllegalStateException(impossible);
            }
        }
        OUT.println(json);
    }

    private static void write(StringBuilder json, Object value) throws SQLException {
        if (value == null || value instanceof Boolean || value instanceof Number) {
            json.append(value);
        } else if (value instanceof Map<?, ?> map) {
            String separator = "{";
            for (Map.Entry<?, ?> entry : map.entrySet()) {
                json.append(separator);
                write(json, entry.getKey());
                json.append(":");
                write(json, entry.getValue());
                separator = ",";
            }
            json.append(map.isEmpty() ? "{}" : "}");
        } else if (value instanceof List<?> list) {
            String separator = "[";
            for (Object item : list) {
                json.append(separator);
                write(json, item);
                separator = ",";
            }
            json.append(list.isEmpty() ? "[]" : "]");
        } else if (value instanceof byte[] bytes) {
            List<Object> numbers = new ArrayList<>();
            for (byte each : bytes) {
                numbers.add(each & 0xff);
            }
            write(json, numbers);
        } else if (value instanceof ResultSet rows) {
            try (rows) {
                ResultSetMetaData meta = rows.getMetaData();
                List<Object> names = new ArrayList<>();
                List<Object> types = new ArrayList<>();
                for (int column = 1; column <= meta.getColumnCount(); column++) {
                    names.add(meta.getColumnLabel(column));
                    types.add(meta.getColumnTypeName(column));
                }
                List<Object> values = new ArrayList<>();
                while (rows.next()) {
                    List<Object> row = new ArrayList<>();
                    for (int column = 1; column <= names.size(); column++) {
                        // An array of the driver is a view of the batch: it is read before the next row.
                        Object cell = rows.getObject(column);
                        row.add(cell instanceof Array array ? Arrays.asList((Object[]) array.getArray()) : cell);
                    }
                    values.add(row);
                }
                write(json, Map.of("names", names, "types", types, "rows", values));
            }
        } else {
            json.append('"');
            for (char each : value.toString().toCharArray()) {
                if (each == '"' || each == '\\' || each < ' ') {
                    json.append(String.format("\\u%04x", (int) each));
                } else {
                    json.append(each);
                }
            }
            json.append('"');
        }
    }
}
