"""Random SELECT statements.

All of them are legal SQL whose answer is defined: LIMIT stands below a total order, a window that counts rows has a key
to order them by, arithmetic stays far from overflow (but in the statements that are made for it). `known.NORMALISED`
lists the forms that are left out, or written differently for the two engines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from random_sql.scopes import Column, Relation, Scope, qualified
from random_sql.tables import GREATEST, GREATEST_INT, LEAST, LEAST_INT
from random_sql.tree import Node, Said, listed, maybe, node

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from random_sql.scopes import Source
    from random_sql.tree import Name

SORTS = ("int", "int", "int", "float", "text", "bool", "decimal", "date", "big", "list")
SORTED = ("int", "float", "text", "bool", "decimal", "date", "big")
COMPARISONS = ("=", "=", "<>", "<", "<=", ">", ">=")
JOINS = ("JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "SEMI", "ANTI", "LATERAL")
FRAMES = (
    "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
    "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    "ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING",
    "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
    "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
)
LITERALS: dict[str, tuple[Name, ...]] = {
    "int": ("0", "1", "2", "-1", "3", "7", "CAST(NULL AS BIGINT)"),
    "float": (
        "CAST(0.5 AS DOUBLE)",
        "CAST(2 AS DOUBLE)",
        "CAST('-0.0' AS DOUBLE)",
        "CAST('NaN' AS DOUBLE)",
        "CAST('Infinity' AS DOUBLE)",
        "CAST(NULL AS DOUBLE)",
    ),
    "text": ("''", "'a'", "'ä'", "'日本'", "'B'", "'it''s'", "CAST(NULL AS VARCHAR)"),
    "bool": ("true", "false", "CAST(NULL AS BOOLEAN)"),
    "decimal": ("CAST('1.50' AS DECIMAL(10, 2))", "CAST('0.00' AS DECIMAL(10, 2))", "CAST(NULL AS DECIMAL(10, 2))"),
    "date": ("DATE '2024-02-29'", "DATE '2000-01-01'", "CAST(NULL AS DATE)"),
    "big": (
        f"CAST('{LEAST}' AS BIGINT)",
        str(GREATEST),
        str(2**53 + 1),
        "CAST(NULL AS BIGINT)",
    ),
    "wide": (f"CAST({GREATEST_INT} AS INTEGER)", f"CAST({LEAST_INT} AS INTEGER)", "CAST(1 AS INTEGER)"),
    "list": ("[1]", "[1, 2]", "[1, NULL]", "CAST(NULL AS BIGINT[])"),
    "vector": ("CAST([1.0, 2.0] AS FLOAT[2])", "CAST([0.5, -0.25] AS FLOAT[2])", "CAST(NULL AS FLOAT[2])"),
    "struct": (
        Said("{'a': 1, 'b c': 'x'}", "named_struct('a', 1, 'b c', 'x')"),
        Said("{'a': 7, 'b c': NULL::VARCHAR}", "named_struct('a', 7, 'b c', CAST(NULL AS VARCHAR))"),
    ),
}
# Sorts whose expressions are columns, literals, and a CASE of them.
PLAIN = frozenset({"big", "wide", "list", "vector", "struct"})
TESTS = ("NULL", "NOT NULL", "TRUE", "NOT TRUE", "FALSE", "NOT FALSE", "UNKNOWN", "NOT UNKNOWN")
PATTERNS = ("'a%'", "'%b'", "'_'", "'%'", "''", "'a_b'", "'%本'", "'A%'")


class Statement(NamedTuple):
    """A statement, and whether its order is total."""

    tree: Node
    ordered: bool


class Generator:
    """Makes statements over sources; the same `rng` gives the same statements."""

    def __init__(self, rng: random.Random, sources: Sequence[Source]) -> None:
        self.rng = rng
        self.sources = sources
        self.aliases = 0
        self.ctes: list[Relation] = []

    # Statements

    def statement(self) -> Statement:
        """Make a statement."""
        self.aliases, self.ctes = 0, []
        if self._chance(0.08):
            return Statement(self._extremes(), ordered=False)
        ctes = [self._cte() for _ in range(self.rng.choice((0, 0, 0, 1, 2)))]
        sorts = self._sorts(SORTED if (ordered := self._chance(0.4)) else SORTS)
        body, scope = self._body(sorts, None, 3)
        order = self._order(len(sorts), scope) if ordered else ()
        with_ctes = (listed("ctes", ctes, least=0, prefix="WITH "), " ") if ctes else ()
        return Statement(Node("statement", (*with_ctes, body, *order)), ordered)

    def _sorts(self, sorts: Sequence[str]) -> list[str]:
        return [self.rng.choice(sorts) for _ in range(self.rng.randint(1, 4))]

    def _cte(self) -> Node:
        sorts = self._sorts(SORTS)
        body, _ = self._body(sorts, None, 2)
        relation = Relation(self._alias("w"), self._columns(sorts))
        names = ", ".join(column.name for column in relation.columns)
        self.ctes.append(relation)
        return node("cte", f"{relation.alias}({names}) AS (", body, ")")

    @staticmethod
    def _columns(sorts: Sequence[str]) -> tuple[Column, ...]:
        return tuple(Column(f"c{number}", sort) for number, sort in enumerate(sorts, 1))

    def _order(self, count: int, scope: Scope | None) -> tuple[Node, ...]:
        keys = []
        if scope is not None and self._chance(0.5):
            # In parentheses, and never a literal alone: a number would be a place.
            value = (
                node("bool", "(", self.boolean(scope, 2), " IS NULL)")
                if self._chance(0.3)
                else self._key(scope, SORTED)
            )
            if scope.keys is not None:
                value = self._aggregate(self._sort(SORTED), scope)
            keys.append(node("key", value, self._direction()))
        places = list(range(1, count + 1))
        self.rng.shuffle(places)
        keys += [node("key", str(place), self._direction()) for place in places]
        # The places have to stay, or the order is total no more; only the first key may go.
        first = [Node(key.sort, (*key.parts, ", "), optional=True) for key in keys[:-count]]
        rest: list[Node | str] = []
        for key in keys[-count:]:
            rest += [", ", key] if rest else [key]
        order = Node("order", (" ORDER BY ", *first, *rest))
        if self._chance(0.5):
            return (order,)
        return order, maybe(f" LIMIT {self.rng.randint(0, 6)}"), maybe(f" OFFSET {self.rng.randint(0, 4)}")

    def _direction(self) -> str:
        return self.rng.choice(("", " ASC", " DESC")) + self.rng.choice(("", " NULLS FIRST", " NULLS LAST"))

    def _extremes(self) -> Node:
        """Make arithmetic at the edge of the types: it is exact, or an error."""
        table = self.rng.choice([table for table in self.sources if table.key is not None])
        scope = Scope([Relation("t", (Column("big", "big"), Column("wide", "wide"), Column("n", "int")))])
        sort = self.rng.choice(("big", "wide"))
        kind = self.rng.randrange(6)
        one = self._leaf(sort, scope)
        # INTEGER with INTEGER and BIGINT with anything: the type of a literal differs between the engines.
        other = self._leaf("wide" if sort == "wide" else self.rng.choice(("big", "int")), scope)
        where = maybe(f" WHERE t.id {self.rng.choice(('<', '=', '>'))} {self.rng.randint(1, 9)}")
        source = (" FROM ", table.name, " AS t", where)
        if kind == 0:
            window = " OVER (ORDER BY t.id)" if self._chance(0.5) else ""
            return node("statement", f"SELECT sum(t.{sort}){window}", *source)
        if kind == 1:
            return node("statement", "SELECT t.id, -", node(sort, f"t.{sort}"), *source)
        if kind == 2:
            return node("statement", "SELECT t.id, abs(", node(sort, f"t.{sort}"), ")", *source)
        if kind == 3:
            return node("statement", "SELECT t.id, CAST(", one, " AS INTEGER)", *source)
        operator = self.rng.choice((" + ", " - ", " * "))
        return node("statement", "SELECT t.id, ", node(sort, one, operator, other), *source)

    # Queries

    def _body(self, sorts: Sequence[str], outer: Scope | None, depth: int) -> tuple[Node, Scope | None]:
        """Make a query without ORDER BY; the scope is that of its keys of ORDER BY, if it may have any."""
        sort = "query " + " ".join(sorts)
        if depth > 1 and self._chance(0.15):
            operator = self.rng.choice(("UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"))
            left, _ = self._body(sorts, outer, depth - 1)
            right, _ = self._body(sorts, outer, depth - 1)
            return node(sort, "(", left, f") {operator} (", right, ")"), None
        return self._select(sort, sorts, outer, depth)

    def _select(self, sort: str, sorts: Sequence[str], outer: Scope | None, depth: int) -> tuple[Node, Scope | None]:
        scope = Scope(outer=outer)
        source = self._from(scope, depth)
        where = [maybe(" WHERE ", self.boolean(scope, depth))] if self._chance(0.6) else []
        group: list[Node] = []
        grouped = self._chance(0.3 if outer is None else 0.1)
        if grouped:
            scope, group = self._group(scope, depth)
        distinct = not grouped and self._chance(0.15)
        windows = not grouped and not distinct and self._chance(0.25)
        items = [self._item(item, scope, depth, windows=windows) for item in sorts]
        select = Node(
            sort,
            (
                "SELECT ",
                *([Node("clause", ("DISTINCT ",), optional=True)] if distinct else []),
                Node("items", tuple(items), separator=", ", least=len(items)),
                " FROM ",
                source,
                *where,
                *group,
            ),
        )
        return select, None if distinct else scope

    def _item(self, sort: str, scope: Scope, depth: int, *, windows: bool) -> Node:
        if windows and self._chance(0.6) and (made := self._window(sort, scope)) is not None:
            return made
        return self.expression(sort, scope, depth)

    def _group(self, scope: Scope, depth: int) -> tuple[Scope, list[Node]]:
        keys = [self._key(scope) for _ in range(self.rng.choice((0, 1, 1, 2, 2, 3)))]
        grouped = Scope(scope.relations, scope.outer, keys)
        clauses = []
        if keys:
            kind = self.rng.choice(("", "", "", "", "ROLLUP", "CUBE", "GROUPING SETS"))
            if kind == "GROUPING SETS":
                sets = [node("set", "(", key, ")") for key in keys] + [node("set", "()")]
                clauses.append(node("group", " GROUP BY GROUPING SETS (", listed("sets", sets), ")"))
            elif kind:
                clauses.append(node("group", f" GROUP BY {kind} (", listed("keys", keys), ")"))
            else:
                clauses.append(node("group", " GROUP BY ", listed("keys", keys)))
        if self._chance(0.4):
            clauses.append(maybe(" HAVING ", self.boolean(grouped, depth)))
        return grouped, clauses

    def _key(self, scope: Scope, sorts: Sequence[str] = SORTS) -> Node:
        # A literal would be a place in the SELECT list, so there is a column of the sort.
        here = [column.sort for relation in scope.relations for column in relation.columns if column.sort in sorts]
        sort = self._sort(here or ["int"])
        if self._chance(0.2) and sort in {"int", "float", "text", "decimal", "date"}:
            column = self._column(sort, scope)
            return self._operation(sort, lambda lower: column if lower == sort else self._column(lower, scope))
        return self._column(sort, scope)

    def _from(self, scope: Scope, depth: int) -> Node:
        if self._chance(0.04):
            return self._using(scope)
        source = self._relation(scope, depth)
        for _ in range(self.rng.choice((0, 0, 0, 1, 1, 2)) if depth > 1 else self.rng.choice((0, 0, 0, 0, 1))):
            source = self._join(self._sort(JOINS), source, scope, depth)
        # A comma binds less than JOIN: the relations before it are not seen by a condition after it.
        return self._join(",", source, scope, depth) if self._chance(0.1) else source

    def _join(self, kind: str, source: Node, scope: Scope, depth: int) -> Node:
        if kind == "LATERAL":
            lateral = Scope(scope.relations, scope.outer)
            sorts = self._sorts(SORTED)
            body, _ = self._select("query " + " ".join(sorts), sorts, lateral, 1)
            relation = Relation(self._alias("v"), self._columns(sorts))
            scope.relations.append(relation)
            names = ", ".join(column.name for column in relation.columns)
            join = self.rng.choice((" CROSS JOIN LATERAL (", " LEFT JOIN LATERAL ("))
            on = " ON true" if "LEFT" in join else ""
            return node("from", source, join, body, f") AS {relation.alias}({names}){on}")
        before = list(scope.relations)
        right = self._relation(scope, depth)
        if kind in {"CROSS JOIN", ","}:
            return node("from", source, ", " if kind == "," else " CROSS JOIN ", right)
        condition = self._condition(before, scope, depth)
        if kind in {"SEMI", "ANTI"}:
            scope.relations = before
            return node("from", source, Said(f" {kind} JOIN ", f" LEFT {kind} JOIN "), right, " ON ", condition)
        return node("from", source, f" {kind} ", right, " ON ", condition)

    def _using(self, scope: Scope) -> Node:
        """Make a join of two tables by the name of their key, which is one column then."""
        keyed = [table for table in self.sources if table.key is not None]
        one, other = self.rng.choice(keyed), self.rng.choice(keyed)
        if one.key != other.key or one.key is None:
            return self._relation(scope, 0)
        kind = self.rng.choice(("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"))
        first, second = self._alias("t"), self._alias("t")
        scope.relations += [Relation(first, one.columns), Relation(second, other.columns)]
        scope.relations.append(Relation("", (Column(one.key, "int"),)))
        names = (one.name, f" AS {first} {kind} ", other.name, f" AS {second} USING (", one.key, ")")
        return node("from", *names)

    def _condition(self, left: list[Relation], scope: Scope, depth: int) -> Node:
        """Make the condition of a join: mostly one that compares both sides."""
        right = [relation for relation in scope.relations if relation not in left]
        sort = self._sort(("int", "int", "int", "text", "float", "date", "bool"))
        one, other = self._column(sort, Scope(left)), self._column(sort, Scope(right))
        compared = node("bool", one, f" {self.rng.choice(('=', '=', '=', '<', 'IS NOT DISTINCT FROM'))} ", other)
        if self._chance(0.6):
            return compared
        more = self.boolean(scope, depth if self._chance(0.3) else 0)
        return node("bool", "(", compared, f") {self.rng.choice(('AND', 'AND', 'OR'))} (", more, ")")

    def _relation(self, scope: Scope, depth: int) -> Node:
        if depth > 1 and self._chance(0.2):
            sorts = self._sorts(SORTS)
            body, _ = self._body(sorts, None, depth - 1)
            relation = Relation(self._alias("v"), self._columns(sorts))
            names = ", ".join(column.name for column in relation.columns)
            scope.relations.append(relation)
            return node("from", "(", body, f") AS {relation.alias}({names})")
        if self._chance(0.04):
            return self._unnested(scope)
        if self.ctes and self._chance(0.4):
            cte = self.rng.choice(self.ctes)
            alias = self._alias("t")
            scope.relations.append(Relation(alias, cte.columns))
            return node("from", f"{cte.alias} AS {alias}")
        table = self.rng.choice(self.sources)
        alias = self._alias("t")
        scope.relations.append(Relation(alias, table.columns, table.key))
        return node("from", table.name, f" AS {alias}")

    def _unnested(self, scope: Scope) -> Node:
        """Make a relation of the elements of a list, beside columns that may have the names of columns of its table."""
        table = self.rng.choice(self.sources)
        alias = self._alias("t") if self._chance(0.5) else ""
        inner = Scope([Relation(alias, table.columns)])
        names = self.rng.sample(table.columns, self.rng.randint(1, min(3, len(table.columns))))
        sorts = [self._sort(SORTS) for _ in names]
        items = [
            Node("item", (self.expression(sort, inner, 1), " AS ", column.name))
            for sort, column in zip(sorts, names, strict=True)
        ]
        elements = node("item", "unnest(", self.expression("list", inner, 1), ") AS element")
        relation = Relation(self._alias("v"), self._columns([*sorts, "int"]))
        columns = ", ".join(str(column.name) for column in relation.columns)
        scope.relations.append(relation)
        source = (table.name, f" AS {alias}") if alias else ("(SELECT * FROM ", table.name, ")")
        parts = ("(SELECT ", Node("items", (*items, elements), separator=", ", least=len(items) + 1), " FROM ", *source)
        return node("from", *parts, f") AS {relation.alias}({columns})")

    # Expressions

    def expression(self, sort: str, scope: Scope, depth: int) -> Node:
        """Make an expression of a sort."""
        if sort == "bool" and self._chance(0.7):
            return self.boolean(scope, depth)
        if depth <= 0 or self._chance(0.3):
            return self._leaf(sort, scope)
        if sort in SORTS and self._chance(0.12):
            return self._scalar_subquery(sort, scope, depth)

        def lower(sort: str) -> Node:
            return self.expression(sort, scope, depth - 1)

        if self._chance(0.12):
            condition = self.boolean(scope, depth - 1)
            return node(sort, "CASE WHEN ", condition, " THEN ", lower(sort), " ELSE ", lower(sort), " END")
        if self._chance(0.15) and sort in SORTED:
            functions = ("coalesce(", "nullif(") if sort == "bool" else ("coalesce(", "nullif(", "greatest(", "least(")
            return node(sort, self.rng.choice(functions), lower(sort), ", ", lower(sort), ")")
        return self._leaf(sort, scope) if sort in PLAIN else self._operation(sort, lower)

    def _operation(self, sort: str, lower: Callable[[str], Node]) -> Node:
        """Make an operation whose operands come from `lower`."""
        if sort == "int":
            return self._integer(lower)
        if sort == "float":
            return self._float(lower)
        if sort == "text":
            return self._text(lower)
        if sort == "decimal":
            return node("decimal", "(", lower("decimal"), self.rng.choice((" + ", " - ")), lower("decimal"), ")")
        if sort == "date":
            return node("date", "CAST(", lower("date"), f" - INTERVAL '{self.rng.randint(0, 40)}' DAY AS DATE)")
        return node("bool", "(", lower("int"), " > ", lower("int"), ")")

    def _float(self, lower: Callable[[str], Node]) -> Node:
        operator = self.rng.choice((" + ", " - ", " * "))
        return self.rng.choice(
            (
                lambda: node("float", "(", lower("float"), operator, lower("float"), ")"),
                lambda: node("float", "CAST(", lower("int"), " AS DOUBLE)"),
                lambda: node("float", "CAST(", lower("decimal"), " AS DOUBLE)"),
                lambda: node("float", "-(", lower("float"), ")"),
                lambda: node("float", "abs(", lower("float"), ")"),
                lambda: node("float", "(", lower("float"), operator, lower("int"), ")"),
            )
        )()

    def _text(self, lower: Callable[[str], Node]) -> Node:
        place = f", {self.rng.randint(1, 3)}, {self.rng.randint(0, 3)})"
        return self.rng.choice(
            (
                lambda: node("text", "(", lower("text"), " || ", lower("text"), ")"),
                lambda: node("text", "lower(", lower("text"), ")"),
                lambda: node("text", "upper(", lower("text"), ")"),
                lambda: node("text", "trim(", lower("text"), ")"),
                lambda: node("text", "substr(", lower("text"), place),
                lambda: node("text", "replace(", lower("text"), ", 'a', ", lower("text"), ")"),
                lambda: node("text", "concat(", lower("text"), ", ", lower("text"), ")"),
                lambda: node("text", "CAST(", lower("int"), " AS VARCHAR)"),
            )
        )()

    def _integer(self, lower: Callable[[str], Node]) -> Node:
        operator = self.rng.choice((" + ", " - ", " * "))
        return self.rng.choice(
            (
                lambda: node("int", "(", lower("int"), operator, lower("int"), ")"),
                lambda: node("int", "(", lower("int"), operator, lower("int"), ")"),
                lambda: node("int", "(", lower("int"), Said(" // ", " / "), "nullif(", lower("int"), ", 0))"),
                lambda: node("int", "(", lower("int"), " % nullif(", lower("int"), ", 0))"),
                lambda: node("int", "abs(", lower("int"), ")"),
                lambda: node("int", "-(", lower("int"), ")"),
                lambda: node("int", "length(", lower("text"), ")"),
                lambda: node("int", "strpos(", lower("text"), ", ", lower("text"), ")"),
                lambda: node("int", Said("len(", "CAST(array_length("), lower("list"), Said(")", ") AS BIGINT)")),
                lambda: node("int", lower("list"), f"[{self.rng.randint(1, 3)}]"),
                lambda: node("int", f"extract({self.rng.choice(('year', 'month', 'day'))} FROM ", lower("date"), ")"),
            )
        )()

    def boolean(self, scope: Scope, depth: int) -> Node:
        """Make a condition."""
        if depth <= 0:
            return self._comparison(scope, 0)
        kinds = {
            self._logic: 4,
            self._is: 1,
            self._in_list: 1,
            self._like: 1,
            self._distinct: 1,
            self._any_member: 1,
            self._subquery_condition: 3,
            self._comparison: 2,
        }
        return self.rng.choices(list(kinds), list(kinds.values()))[0](scope, depth - 1)

    def _logic(self, scope: Scope, depth: int) -> Node:
        if self._chance(0.25):
            return node("bool", "(NOT ", self.boolean(scope, depth), ")")
        operator = self.rng.choice((" AND ", " OR "))
        return node("bool", "(", self.boolean(scope, depth), operator, self.boolean(scope, depth), ")")

    def _is(self, scope: Scope, depth: int) -> Node:
        test = self.rng.choice(TESTS)
        sort = self._sort(SORTS) if test.endswith("NULL") else "bool"
        return node("bool", "(", self.expression(sort, scope, depth), f" IS {test})")

    def _like(self, scope: Scope, depth: int) -> Node:
        like = self.rng.choice(("LIKE", "NOT LIKE", "ILIKE"))
        return node("bool", "(", self.expression("text", scope, depth), f" {like} {self.rng.choice(PATTERNS)})")

    def _distinct(self, scope: Scope, depth: int) -> Node:
        operator = self.rng.choice((" IS DISTINCT FROM ", " IS NOT DISTINCT FROM "))
        sort = self._sort(SORTED)
        return node(
            "bool", "(", self.expression(sort, scope, depth), operator, self.expression(sort, scope, depth), ")"
        )

    def _any_member(self, scope: Scope, depth: int) -> Node:
        value, members = self.expression("int", scope, depth), self._leaf("list", scope)
        guard = Said(f"CASE WHEN {members.write('duckdb')} IS NOT NULL THEN ", "")
        return node("bool", "(", guard, value, " = ANY(", members, ")", Said(" END", ""), ")")

    def _comparison(self, scope: Scope, depth: int) -> Node:
        sort = self._sort(SORTED)
        if self._chance(0.1):
            low = self.rng.choice((" BETWEEN ", " NOT BETWEEN "))
            one, two, three = (self.expression(sort, scope, depth) for _ in range(3))
            return node("bool", "(", one, low, two, " AND ", three, ")")
        if sort == "bool" and self._chance(0.5):
            return self._leaf("bool", scope)
        other = self._sort(("int", "float", "decimal")) if sort in {"int", "float", "decimal"} else sort
        left, right = self.expression(sort, scope, depth), self.expression(other, scope, depth)
        return node("bool", "(", left, f" {self.rng.choice(COMPARISONS)} ", right, ")")

    def _in_list(self, scope: Scope, depth: int) -> Node:
        sort = self._sort(SORTED)
        members = [node(sort, self.rng.choice(LITERALS[sort])) for _ in range(self.rng.randint(1, 5))]
        if self._chance(0.3):
            members.append(node(sort, "NULL"))
        if self._chance(0.2):
            members.append(self.expression(sort, scope, depth))
        operator = self.rng.choice((" IN (", " NOT IN ("))
        return node("bool", "(", self.expression(sort, scope, depth), operator, listed("members", members), "))")

    # Subqueries

    def _subquery_condition(self, scope: Scope, depth: int) -> Node:
        kind = self.rng.choice(("EXISTS", "EXISTS", "IN", "IN", "ANY"))
        if kind == "EXISTS":
            word = self.rng.choice(("EXISTS (", "NOT EXISTS ("))
            sorts = [self._sort(SORTED)]
            return node("bool", word, self._subquery(sorts, scope, depth), ")")
        sort = self._sort(SORTED)
        value = self.expression(sort, scope, depth)
        if kind == "IN" and self._chance(0.15):
            sorts = [sort, self._sort(SORTED)]
            word = self.rng.choice((" IN (", " NOT IN ("))
            row = ("((", value, ", ", self.expression(sorts[1], scope, 0), ")")
            # DuckDB has no correlated one.
            return node("bool", *row, word, self._body(sorts, None, 1)[0], "))")
        if kind == "IN":
            operator = self.rng.choice((" IN (", " NOT IN ("))
        else:
            operator = f" {self.rng.choice(COMPARISONS)} {self.rng.choice(('ANY', 'ALL'))} ("
        return node("bool", "(", value, operator, self._subquery([sort], scope, depth), "))")

    def _subquery(self, sorts: Sequence[str], scope: Scope, depth: int) -> Node:
        if self._chance(0.5):
            return self._body(sorts, scope, max(depth, 1))[0]
        # The plain form of a correlated subquery.
        inner = Scope(outer=scope)
        source = self._relation(inner, 0)
        items = Node("items", tuple(self._column(sort, inner) for sort in sorts), separator=", ", least=len(sorts))
        sort = "query " + " ".join(sorts)
        return Node(sort, ("SELECT ", items, " FROM ", source, maybe(" WHERE ", self._correlation(inner))))

    def _correlation(self, inner: Scope) -> Node:
        sort = self._sort(("int", "int", "int", "text", "float", "date"))
        column = self._column(sort, inner)
        outside = inner.outer.outside(sort) if inner.outer is not None else []
        other = node(sort, self.rng.choice(outside)) if outside else node(sort, self.rng.choice(LITERALS[sort]))
        return node("bool", column, f" {self.rng.choice(('=', '=', '=', '<', '>', '<>'))} ", other)

    def _scalar_subquery(self, sort: str, scope: Scope, depth: int) -> Node:
        inner = Scope(outer=scope)
        source = self._relation(inner, depth - 1)
        where = maybe(" WHERE ", self._correlation(inner) if self._chance(0.6) else self.boolean(inner, depth - 1))
        if sort != "list" and self._chance(0.2):
            column = self._column(sort, inner)
            order = f" ORDER BY 1 {self.rng.choice(('ASC', 'DESC'))} NULLS {self.rng.choice(('FIRST', 'LAST'))} LIMIT 1"
            return node(sort, "(SELECT ", column, " FROM ", source, where, order, ")")
        grouped = Scope(inner.relations, scope, [])
        return node(sort, "(SELECT ", self._aggregate(sort, grouped), " FROM ", source, where, ")")

    # Leaves

    def _leaf(self, sort: str, scope: Scope) -> Node:
        if scope.keys is not None:
            keys = [key for key in scope.keys if key.sort == sort]
            if keys and self._chance(0.5):
                return self.rng.choice(keys)
            if self._chance(0.8):
                return self._aggregate(sort, scope)
        elif self._chance(0.85):
            outside = scope.outer.outside(sort) if scope.outer is not None else []
            if outside and self._chance(0.25):
                return node(sort, self.rng.choice(outside))
            if columns := scope.columns(sort):
                return node(sort, self.rng.choice(columns))
        return node(sort, self.rng.choice(LITERALS[sort]))

    def _column(self, sort: str, scope: Scope) -> Node:
        columns = scope.columns(sort)
        return node(sort, self.rng.choice(columns or LITERALS[sort]))

    def _aggregate(self, sort: str, scope: Scope) -> Node:
        """Make an aggregate of the columns of FROM."""
        inner = Scope(scope.relations)

        def of(lower: str) -> Node:
            return self._column(lower, inner) if self._chance(0.8) else self.expression(lower, inner, 1)

        distinct = self.rng.choice(("", "", "DISTINCT "))
        least = self.rng.choice(("min(", "max("))
        if sort == "list":
            number = self._array_agg(inner)
        elif sort == "text" and self._chance(0.5):
            number = self._string_agg(inner)
        else:
            name, lower = self.rng.choice(
                {
                    "int": (
                        ("count(", "id"),
                        (f"count({distinct}", self._sort(SORTED)),
                        (f"sum({distinct}", "int"),
                        (least, "int"),
                    ),
                    "float": (("avg(", "int"), ("sum(", "float"), (least, "float"), ("var_samp(", "int")),
                    "bool": (("bool_and(", "bool"), ("bool_or(", "bool")),
                }.get(sort, ((least, sort),))
            )
            number = node(sort, "count(*)") if lower == "id" else node(sort, name, of(lower), ")")
        if self._chance(0.15):
            return node(sort, number, " FILTER (WHERE ", self._comparison(inner, 0), ")")
        return number

    def _string_agg(self, inner: Scope) -> Node:
        if not (columns := inner.columns("text")):
            return node("text", "string_agg('x', ',')")
        column = self.rng.choice(columns)
        return node("text", "string_agg(", column, ", ',' ORDER BY ", column, self.rng.choice(("", " DESC")), ")")

    def _array_agg(self, inner: Scope) -> Node:
        if not (columns := inner.columns("int")):
            return node("list", "array_agg(7)")
        column = self.rng.choice(columns)
        order = self.rng.choice(("", " DESC", " NULLS FIRST", " DESC NULLS LAST"))
        return node("list", "array_agg(", column, " ORDER BY ", column, order, ")")

    def _window(self, sort: str, scope: Scope) -> Node | None:
        """Make a window function: what counts rows only above one table with a key."""
        relation = scope.relations[0]
        partition = [maybe("PARTITION BY ", self._column(self._sort(SORTED), scope), " ")] if self._chance(0.5) else []
        by = node("key", self._column(self._sort(SORTED), scope), self._direction())
        argument = self._column(sort, scope)
        if len(scope.relations) == 1 and relation.key is not None and self._chance(0.6):
            order = node(
                "order", "ORDER BY ", Node("key", (by, ", "), optional=True), qualified(relation.alias, relation.key)
            )
            frame = [maybe(f" {self.rng.choice(FRAMES)}")] if self._chance(0.5) else []
            if sort == "int" and self._chance(0.4):
                function = node("call", self.rng.choice(("row_number()", "ntile(3)", "rank()", "dense_rank()")))
                frame = []
            elif self._chance(0.3):
                offset = self.rng.choice(("", ", 2", ", 0"))
                function, frame = node("call", self.rng.choice(("lag(", "lead(")), argument, offset, ")"), []
            else:
                last = self.rng.choice((("first_value(", ")"), ("last_value(", ")"), ("nth_value(", ", 2)")))
                function = node("call", last[0], argument, last[1])
            return node(sort, function, " OVER (", *partition, order, *frame, ")")
        if sort not in SORTED or sort == "bool":
            return None
        order = maybe("ORDER BY ", by)
        # Peers share the default frame: the answer does not depend on their order.
        if sort == "int":
            name = self.rng.choice(("count(", "sum(", "rank() ", "dense_rank() ", "min("))
            function = node("call", name) if name.endswith(" ") else node("call", name, argument, ")")
        elif sort == "float" and self._chance(0.3):
            function = node("call", self.rng.choice(("percent_rank()", "cume_dist()")))
        else:
            function = node("call", self.rng.choice(("min(", "max(")), argument, ")")
        return node(sort, function, " OVER (", *partition, order, ")")

    # Chance

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _sort(self, sorts: Sequence[str]) -> str:
        return self.rng.choice(sorts)

    def _alias(self, letter: str) -> str:
        self.aliases += 1
        return f"{letter}{self.aliases}"
