// pgjdbc against a rejecting rule on `ex`. Run as source: java -cp postgresql.jar JdbcClient.java PORT DATABASE

import java.io.StringReader;
import java.sql.BatchUpdateException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.time.OffsetDateTime;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

public class JdbcClient {
    static final OffsetDateTime EARLY = OffsetDateTime.parse("2026-03-01T00:00:00Z");
    static final OffsetDateTime LATE = OffsetDateTime.parse("2026-03-02T00:00:00Z");
    static final String INSERT = "INSERT INTO ex (id, created_at, started_at) VALUES (?, ?, ?)";
    static String url;

    interface Step {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        url = "jdbc:postgresql://127.0.0.1:" + arguments[0] + "/" + arguments[1] + "?user=postgres";
        autocommit("");
        autocommit("&preferQueryMode=simple");
        autocommit("&binaryTransfer=true&prepareThreshold=-1");
        transactions();
        preparedLongAgo();
        batches("", 3000);
        batches("&reWriteBatchedInserts=true", 4000);
        limits();
        copy();
        System.out.println("ok");
    }

    static Connection connect(String options) throws SQLException {
        return DriverManager.getConnection(url + options);
    }

    static void insert(Connection connection, int id, OffsetDateTime created, OffsetDateTime started) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(INSERT)) {
            bind(statement, id, created, started);
            check(statement.executeUpdate() == 1, "one row inserted");
        }
    }

    static void bind(PreparedStatement statement, int id, OffsetDateTime created, OffsetDateTime started) throws SQLException {
        statement.setLong(1, id);
        statement.setObject(2, created);
        statement.setObject(3, started);
    }

    static void refused(Step step) throws Exception {
        try {
            step.run();
        } catch (SQLException error) {
            PSQLException cause = (PSQLException) (error instanceof BatchUpdateException ? error.getCause() : error);
            ServerErrorMessage message = cause.getServerErrorMessage();
            check("23514".equals(cause.getSQLState()), "SQLSTATE " + cause.getSQLState());
            check("ex_order".equals(message.getConstraint()), "constraint " + message.getConstraint());
            check("ex".equals(message.getTable()) && "public".equals(message.getSchema()), "table " + message.getTable());
            check(message.getDetail() != null && message.getHint() != null, "detail and hint");
            return;
        }
        throw new AssertionError("the write was not refused");
    }

    static void autocommit(String options) throws Exception {
        try (Connection connection = connect(options)) {
            refused(() -> insert(connection, 101, LATE, EARLY));
            check(one(connection, "SELECT 42") == 42, "usable");
            insert(connection, 110, EARLY, LATE);
            try (Statement statement = connection.createStatement()) {
                refused(() -> statement.executeUpdate("UPDATE ex SET started_at = '2020-01-01' WHERE id = 110"));
                check(statement.executeUpdate("UPDATE ex SET note = 'x' WHERE id = 110") == 1, "updated");
                try (ResultSet row = statement.executeQuery("UPDATE ex SET note = 'y' WHERE id = 110 RETURNING *")) {
                    check(row.getMetaData().getColumnCount() == 7, "columns " + row.getMetaData().getColumnCount());
                    check(row.next() && row.getLong(1) == 110 && !row.next(), "the row");
                }
                check(statement.executeUpdate("DELETE FROM ex WHERE id = 110") == 1, "deleted");
            }
            try (PreparedStatement statement = connection.prepareStatement(INSERT, Statement.RETURN_GENERATED_KEYS)) {
                bind(statement, 111, EARLY, LATE);
                statement.executeUpdate();
                try (ResultSet keys = statement.getGeneratedKeys()) {
                    check(keys.next() && keys.getLong("id") == 111, "generated keys");
                    check(keys.getMetaData().getColumnCount() == 7, "only the client's columns");
                }
                bind(statement, 101, LATE, EARLY);
                refused(statement::executeUpdate);
            }
            one(connection, "WITH d AS (DELETE FROM ex WHERE id = 111 RETURNING id) SELECT count(*) FROM d");
        }
    }

    static void transactions() throws Exception {
        try (Connection connection = connect("")) {
            connection.setAutoCommit(false);
            insert(connection, 112, EARLY, LATE);
            refused(() -> insert(connection, 101, LATE, EARLY));
            connection.rollback();
            insert(connection, 113, EARLY, LATE);
            Savepoint savepoint = connection.setSavepoint();
            insert(connection, 114, EARLY, LATE);
            refused(() -> insert(connection, 101, LATE, EARLY));
            connection.rollback(savepoint);
            insert(connection, 115, EARLY, LATE);
            connection.commit();
            check(one(connection, "SELECT sum(id) FROM ex WHERE id BETWEEN 112 AND 115") == 228, "113 and 115 landed");
        }
        // Savepoints of the driver's own around each statement.
        try (Connection connection = connect("&autosave=always")) {
            connection.setAutoCommit(false);
            insert(connection, 116, EARLY, LATE);
            refused(() -> insert(connection, 101, LATE, EARLY));
            insert(connection, 117, EARLY, LATE);
            connection.commit();
            check(one(connection, "SELECT count(*) FROM ex WHERE id IN (116, 117)") == 2, "autosave");
        }
    }

    static void preparedLongAgo() throws Exception {
        // From the fifth execution on the driver uses a named statement.
        try (Connection connection = connect(""); PreparedStatement statement = connection.prepareStatement(INSERT)) {
            for (int id = 1000; id < 2000; id++) {
                bind(statement, id, EARLY, LATE);
                check(statement.executeUpdate() == 1, "inserted");
            }
            bind(statement, 101, LATE, EARLY);
            refused(statement::executeUpdate);
            bind(statement, 2000, EARLY, LATE);
            check(statement.executeUpdate() == 1, "inserted after the refusal");
        }
    }

    static void batches(String options, int from) throws Exception {
        try (Connection connection = connect(options); PreparedStatement statement = connection.prepareStatement(INSERT)) {
            connection.setAutoCommit(false);
            for (int id = from; id < from + 500; id++) {
                bind(statement, id, EARLY, LATE);
                statement.addBatch();
            }
            check(statement.executeBatch().length == 500, "a batch");
            connection.commit();
            for (int id = from + 500; id < from + 700; id++) {
                bind(statement, id, id == from + 600 ? LATE : EARLY, EARLY);
                statement.addBatch();
            }
            refused(statement::executeBatch);
            connection.rollback();
            check(one(connection, "SELECT count(*) FROM ex WHERE id >= " + from + " AND id < " + (from + 700)) == 500, "the good batch");
        }
    }

    static void limits() throws Exception {
        try (Connection connection = connect("")) {
            connection.setAutoCommit(false);
            try (PreparedStatement statement = connection.prepareStatement("UPDATE ex SET note = 'n' WHERE id BETWEEN 1000 AND 1099")) {
                // The driver sends Execute with a row limit of 1 for statements without a result.
                check(statement.executeUpdate() == 100, "all rows");
                statement.setMaxRows(7);
                check(statement.executeUpdate() == 100, "all rows, max rows 7");
            }
            try (PreparedStatement statement = connection.prepareStatement("UPDATE ex SET note = 'm' WHERE id BETWEEN 1000 AND 1099 RETURNING id")) {
                statement.setFetchSize(10);
                int rows = 0;
                try (ResultSet result = statement.executeQuery()) {
                    while (result.next()) {
                        rows++;
                    }
                }
                check(rows == 100, "rows in portions: " + rows);
            }
            connection.commit();
        }
    }

    static void copy() throws Exception {
        try (Connection connection = connect("")) {
            var copy = connection.unwrap(PGConnection.class).getCopyAPI();
            String command = "COPY ex (id, created_at, started_at) FROM STDIN";
            refused(() -> copy.copyIn(command, new StringReader(lines(5500))));
            check(copy.copyIn(command, new StringReader(lines(-1))) == 1000, "copied");
        }
    }

    static String lines(int bad) {
        StringBuilder out = new StringBuilder();
        for (int id = 5000; id < 6000; id++) {
            out.append(id).append('\t').append(id == bad ? LATE : EARLY).append('\t').append(EARLY).append('\n');
        }
        return out.toString();
    }

    static long one(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet row = statement.executeQuery(sql)) {
            row.next();
            return row.getLong(1);
        }
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
