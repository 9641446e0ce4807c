// Does with database/sql and the Flight SQL driver what a Go program does, and prints what came of each step: a line of JSON
// with "step" and "value", or "error". What is right is said by test_go.py.
//
//	client statements DSN TABLE VECTOR   changes and searches
//	client sign-in CA DSN...             asks SELECT count(*) FROM docs of each, trusting the authority of the file CA
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"os"
	"time"

	"github.com/apache/arrow-go/v18/arrow/flight/flightsql/driver"
)

func main() {
	switch os.Args[1] {
	case "statements":
		statements(os.Args[2], os.Args[3], os.Args[4])
	case "sign-in":
		signIn(os.Args[2], os.Args[3:])
	default:
		panic(os.Args[1])
	}
}

func statements(dsn, table, vector string) {
	db, err := sql.Open("flightsql", dsn)
	if err != nil {
		panic(err)
	}
	defer db.Close()
	step("ping", nil, db.Ping())
	changed := func(name, query string, values ...any) {
		result, err := db.Exec(query, values...)
		if err != nil {
			step(name, nil, err)
			return
		}
		count, err := result.RowsAffected()
		step(name, count, err)
	}
	asked := func(name, query string, values ...any) {
		found, err := rows(context.Background(), db, query, values...)
		step(name, found, err)
	}

	changed("insert", "INSERT INTO "+table+" (id, word) VALUES (-1, 'a'), (-2, 'b')")
	changed("prepared insert", "INSERT INTO "+table+" (id, word) VALUES (?, ?)", int64(-3), "it's ü")
	changed("insert of a text", "INSERT INTO "+table+" VALUES (?, ?, CAST(? AS FLOAT[8]))", int64(-4), "d", vector)
	asked("where", "SELECT id, word FROM "+table+" WHERE id < ? AND word <> ? ORDER BY id", int64(0), "d")
	asked("the same vector", "SELECT l2_distance(vec, "+vector+") AS d FROM "+table+" WHERE id = -4")
	changed("update", "UPDATE "+table+" SET word = 'new' WHERE id < 0")
	changed("delete", "DELETE FROM "+table+" WHERE id < ?", int64(0))
	asked("knn", "SELECT id, _distance FROM knn('"+table+"', "+vector+", 10)")
	asked("knn of a text", "SELECT id, _distance FROM knn('"+table+"', CAST(? AS FLOAT[8]), ?)", vector, int64(10))
	asked("nothing found", "SELECT id FROM "+table+" WHERE id = -99")
	asked("no column", "SELECT nothing FROM "+table)
	asked("no table", "SELECT * FROM nowhere")
	changed("create again", "CREATE TABLE "+table+" (id BIGINT)")

	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	_, err = rows(ctx, db, "SELECT sum(value % 7) AS s FROM generate_series(1, 1000000000000)")
	step("given up", nil, err)
	asked("after", "SELECT 2 AS x")
}

func signIn(ca string, dsns []string) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		panic(err)
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(pem)
	if err := driver.RegisterTLSConfig("private", &tls.Config{RootCAs: authorities}); err != nil {
		panic(err)
	}
	for _, dsn := range dsns {
		db, err := sql.Open("flightsql", dsn)
		if err != nil {
			step(dsn, nil, err)
			continue
		}
		found, err := rows(context.Background(), db, "SELECT count(*) AS n FROM docs")
		step(dsn, found, err)
		db.Close()
	}
}

func rows(ctx context.Context, db *sql.DB, query string, values ...any) ([]map[string]any, error) {
	result, err := db.QueryContext(ctx, query, values...)
	if err != nil {
		return nil, err
	}
	defer result.Close()
	names, err := result.Columns()
	if err != nil {
		return nil, err
	}
	found := []map[string]any{}
	for result.Next() {
		cells, into := make([]any, len(names)), make([]any, len(names))
		for at := range cells {
			into[at] = &cells[at]
		}
		if err := result.Scan(into...); err != nil {
			return nil, err
		}
		row := map[string]any{}
		for at, name := range names {
			row[name] = cells[at]
		}
		found = append(found, row)
	}
	return found, result.Err()
}

func step(name string, value any, err error) {
	line := map[string]any{"step": name, "value": value}
	if err != nil {
		line = map[string]any{"step": name, "error": err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(line); err != nil {
		panic(err)
	}
}
