package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/command"
	"github.com/paygraph/paygraph/event"
)

// records checks that the record of each key belongs to an event of its command, and that each command has one. Refusals stand in no
// event: their records cannot be checked; nor do timers that came too late, of whose records only the key is.
func (v *verification) records(ctx context.Context) error {
	var last answer.UUID // no hash of a key is that small
	for {
		found, err := v.recordsAfter(ctx, &last)
		if err != nil {
			return err
		}
		if err := v.eventsOf(ctx, found); err != nil {
			return err
		}
		if len(found) < page {
			break
		}
	}
	// Events of one command follow each other: one of them is its record's.
	begin, recorded := int64(0), true
	for sequence := int64(1); sequence <= v.head.sequence; sequence++ {
		if v.begins.has(sequence) {
			if !recorded {
				break
			}
			begin, recorded = sequence, false
		}
		recorded = recorded || v.recorded.has(sequence)
	}
	if !recorded {
		return v.wrong("idempotency", "of event "+strconv.FormatInt(begin, 10), "its command has no record")
	}
	return nil
}

// recordsAfter reads the next records in the order of their places, and moves place to the last one's.
func (v *verification) recordsAfter(ctx context.Context, place *answer.UUID) ([]*record, error) {
	var found []*record
	err := v.query(ctx, v.merchant, `SELECT idempotency_place(i.owner, i.key), i.owner, i.key, i.operation, i.fingerprint, i.object_id,
			COALESCE(i.outcome_version, 0), i.refusal, i.refusal_values, i.result_version, i.created_at
		FROM idempotency i WHERE i.merchant_id = $1 AND idempotency_place(i.owner, i.key) > $2
			AND (i.refusal IS NULL OR i.object_id IS NOT NULL OR i.outcome_version IS NOT NULL)
		ORDER BY idempotency_place(i.owner, i.key) LIMIT `+strconv.Itoa(page), func(scan scanner) error {
		var r record
		err := scan(place, &r.owner, &r.key, &r.operation, &r.fingerprint, &r.objectID, &r.outcomeVersion, &r.refusalCode, &r.refusalValues,
			&r.version, &r.createdAt)
		if err == nil && (r.objectID == nil || r.refusalCode != nil || r.refusalValues != nil || r.version < 1 || r.version > resultVersion) {
			return v.wrong("idempotency", r.row(), "it is no record of a success")
		}
		found = append(found, &r)
		return err
	}, place.String())
	return found, err
}

// eventsOf finds the event of each record: about its object and of its version, of its time and with its request.
func (v *verification) eventsOf(ctx context.Context, records []*record) error {
	objects := array{oid: oidUUID}
	objects.reset()
	for _, r := range records {
		id, err := answer.Decode(answer.PrefixOf(*r.objectID), *r.objectID)
		if err != nil {
			return v.wrong("idempotency", r.row(), "its object %q is no identifier", *r.objectID)
		}
		objects.uuid(id)
	}
	matched, isObject := make([]bool, len(records)), make([]bool, len(records))
	err := v.query(ctx, v.merchant, `SELECT u.place, `+eventColumns+each+lateral(eventColumns, `event`, `e`, `e.object_id = u.id`, `OFFSET 0`),
		func(scan scanner) error {
			var place int
			e, err := scanEvent(func(columns ...any) error { return scan(append([]any{&place}, columns...)...) })
			if err != nil {
				return err
			}
			isObject[place-1] = true
			if fits(records[place-1], e) {
				matched[place-1] = true
				v.recorded.set(e.Sequence)
			}
			return nil
		}, objects.wire())
	for i, r := range records {
		if err == nil && !matched[i] && (!isObject[i] || !r.isOfTimer()) {
			return v.wrong("idempotency", r.row(), "no event is of its request")
		}
	}
	return err
}

// isOfTimer says whether the record may be that of a timer whose object had moved on: it has changed nothing, so that no event tells of it.
func (r *record) isOfTimer() bool {
	return r.owner == gatewayKeys && r.outcomeVersion == 0 && command.IsTimerKey(r.key, *r.objectID)
}

// row finds a record for a person: its key, after whose it is where that is not the merchant.
func (r *record) row() string { return strings.TrimPrefix(r.owner+" "+r.key, " ") }

func fits(r *record, e *event.Event) bool {
	var p payload
	request := requestHash(key{r.owner, r.key}, r.operation, r.fingerprint)
	return r.createdAt.Equal(e.OccurredAt) && *r.objectID == e.ObjectID && (r.outcomeVersion == 0 || r.outcomeVersion == e.ObjectVersion) &&
		json.Unmarshal(e.Payload, &p) == nil && p.Cause.Request == hex.EncodeToString(request[:])
}
