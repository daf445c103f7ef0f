package vigil

import "time"

// A store that goes on from a backup says so in a record, until it is restored again. What was
// stored between the backup and RestoredAt is lost, acknowledged signals too: what is missing
// from then is nobody's fault but ours.
const (
	RestoredKind = "restored"
	RestoredKey  = "at"
)

// RestoredRecord is the record of a store that was restored at a time.
func RestoredRecord(at time.Time) Record {
	return Record{Kind: RestoredKind, Key: RestoredKey, Value: []byte(at.UTC().Format(time.RFC3339Nano))}
}

// RestoredAt reads it.
func RestoredAt(r Record) (time.Time, error) {
	at, err := time.Parse(time.RFC3339Nano, string(r.Value))
	return at, Wrap(err, CodeInternal, "The record of a restore cannot be read.")
}
