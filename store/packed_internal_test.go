package store

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
	"time"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/ledger"
)

// aRow is what PostgreSQL 15 gives for
//
//	SELECT record_send(r) FROM (SELECT '0192a3b4-c5d6-7e8f-9a0b-0c1d2e3f4a5b'::uuid, 'DEBIT'::text, -2::bigint, 3::integer, 4::smallint,
//	  '2026-11-24 09:30:00.000001+00'::timestamptz, '2026-11-24'::date, '\x00ff'::bytea, '{"a": "b"}'::jsonb, true, NULL::text, NULL::uuid,
//	  NULL::bytea, 'x'::text) r
const aRow = `0000000e` +
	`00000b86` + `00000010` + `0192a3b4c5d67e8f9a0b0c1d2e3f4a5b` +
	`00000019` + `00000005` + `4445424954` +
	`00000014` + `00000008` + `fffffffffffffffe` +
	`00000017` + `00000004` + `00000003` +
	`00000015` + `00000002` + `0004` +
	`000004a0` + `00000008` + `000304011f7e9601` +
	`0000043a` + `00000004` + `00002660` +
	`00000011` + `00000002` + `00ff` +
	`00000eda` + `0000000b` + `017b2261223a202262227d` +
	`00000010` + `00000001` + `01` +
	`00000019` + `ffffffff` +
	`00000b86` + `ffffffff` +
	`00000011` + `ffffffff` +
	`00000019` + `00000001` + `78`

func TestUnpack(t *testing.T) {
	row, err := hex.DecodeString(aRow)
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	err = unpack(append(row, row...), func(scan scanner) error {
		rows++
		var id answer.UUID
		var direction ledger.Direction
		var n8 int64
		var n4 int32
		var n2 int
		var at, day time.Time
		var bytes, json, none []byte
		var yes bool
		var noText, text *string
		var noID nullUUID
		if err := scan(&id, &direction, &n8, &n4, &n2, &at, &day, &bytes, &json, &yes, &noText, &noID, &none, &text); err != nil {
			return err
		}
		if id.String() != "0192a3b4-c5d6-7e8f-9a0b-0c1d2e3f4a5b" || direction != ledger.Debit || n8 != -2 || n4 != 3 || n2 != 4 ||
			!at.Equal(time.Date(2026, 11, 24, 9, 30, 0, 1000, time.UTC)) || at.Location() != time.UTC ||
			!day.Equal(time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)) || string(bytes) != "\x00\xff" || string(json) != `{"a": "b"}` ||
			!yes || noText != nil || noID.valid || none != nil || text == nil || *text != "x" {
			t.Error(id, direction, n8, n4, n2, at, day, bytes, string(json), yes, noText, noID, none, text)
		}
		return nil
	})
	if err != nil || rows != 2 {
		t.Error(rows, err)
	}
	if err := unpack(nil, func(scanner) error { t.Error("a row of nothing"); return nil }); err != nil {
		t.Error(err)
	}
}

func TestUnpackRefusesWhatDoesNotFit(t *testing.T) {
	row := func(oid, length uint32, bytes ...byte) []byte {
		value := binary.BigEndian.AppendUint32(nil, 1)
		value = binary.BigEndian.AppendUint32(value, oid)
		return append(binary.BigEndian.AppendUint32(value, length), bytes...)
	}
	const null = 0xffffffff
	for name, c := range map[string]struct {
		value   []byte
		targets []any
	}{
		"no uuid":           {row(oidText, 1, 'x'), []any{new(answer.UUID)}},
		"null for a uuid":   {row(oidUUID, null), []any{new(answer.UUID)}},
		"null for a text":   {row(oidText, null), []any{new(string)}},
		"null for a number": {row(oidInt8, null), []any{new(int64)}},
		"null for a kind":   {row(oidText, null), []any{new(ledger.Kind)}},
		"null for a time":   {row(oidTimestamptz, null), []any{new(time.Time)}},
		"a text for a time": {row(oidText, 1, 'x'), []any{new(time.Time)}},
		"a number too big":  {row(oidInt4, 4, 1, 0, 0, 0), []any{new(int16)}},
		"a number for text": {row(oidInt4, 4, 1, 0, 0, 0), []any{new(string)}},
		"too few targets":   {row(oidInt4, 4, 1, 0, 0, 0), nil},
		"too many targets":  {row(oidInt4, 4, 1, 0, 0, 0), []any{new(int64), new(int64)}},
	} {
		if err := unpack(c.value, func(scan scanner) error { return scan(c.targets...) }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
