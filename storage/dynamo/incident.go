package dynamo

import (
	"context"
	"strconv"
	"strings"

	"vigil"
	"vigil/storage"
)

// incidentKey finds the signal that an incident is.
func incidentKey(sessionID, id string) (key, bool) {
	at := strings.LastIndexByte(id, '/')
	if at < 0 {
		return key{}, false
	}
	seq, err := strconv.ParseInt(id[at+1:], 10, 64)
	if err != nil || seq < 1 {
		return key{}, false
	}
	return signalKey(sessionID, id[:at], seq), true
}

// decodeIncident makes an incident of its signal's item; nil if that is none.
func decodeIncident(it item) (*vigil.Incident, error) {
	g, err := decode[vigil.Signal](it)
	if err != nil || !g.Incident {
		return nil, err
	}
	in := vigil.IncidentOf(g)
	r, err := decode[review](it)
	if err != nil {
		return nil, err
	}
	in.Review, in.Reviewer, in.Note, in.Reviewed, in.Version = r.Review, r.Reviewer, r.Note, r.Reviewed, r.Version
	return &in, nil
}

func decodeIncidents(_ context.Context, items []item) ([]*vigil.Incident, error) {
	out := make([]*vigil.Incident, len(items))
	for i, it := range items {
		var err error
		if out[i], err = decodeIncident(it); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// IncidentsOfExam implements storage.Signals.
func (s *Store) IncidentsOfExam(ctx context.Context, examID string, page storage.Page) (incidents []vigil.Incident, next string, err error) {
	l := list{what: "incident", index: indexList, pk: name("xi", examID)}
	return paged(ctx, s, l, page, ofLiveSessions(s, "incident", decodeIncidents, func(i vigil.Incident) string { return i.SessionID }))
}

// ofLiveSessions resolves what an index lists, and leaves out what belongs to sessions
// that are not there any more.
func ofLiveSessions[T any](s *Store, what string, resolve resolver[T], session func(T) string) resolver[T] {
	return func(ctx context.Context, listed []item) ([]*T, error) {
		items, err := s.full(ctx, what, listed)
		if err != nil {
			return nil, err
		}
		out, err := resolve(ctx, items)
		if err != nil {
			return nil, err
		}
		ids := make([]string, 0, len(out))
		for _, v := range out {
			if v != nil {
				ids = append(ids, session(*v))
			}
		}
		alive, err := s.alive(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i, v := range out {
			if v != nil && !alive[session(*v)] {
				out[i] = nil
			}
		}
		return out, nil
	}
}

// IncidentsOfSession implements storage.Signals. It reads the session's signals, of
// which the incidents are some.
func (s *Store) IncidentsOfSession(ctx context.Context, sessionID string, page storage.Page) (incidents []vigil.Incident, next string, err error) {
	_, there, err := s.infoOf(ctx, sessionID)
	if err != nil {
		return nil, "", err
	}
	l := list{what: "incident", index: indexOrder, pk: sessionPartition(sessionID), prefix: "g#", step: 100}
	return paged(ctx, s, l, page, func(ctx context.Context, items []item) ([]*vigil.Incident, error) {
		if !there {
			return make([]*vigil.Incident, len(items)), nil
		}
		return decodeIncidents(ctx, items)
	})
}

// Incident implements storage.Signals.
func (s *Store) Incident(ctx context.Context, sessionID, id string) (vigil.Incident, error) {
	_, there, err := s.infoOf(ctx, sessionID)
	if err != nil {
		return vigil.Incident{}, err
	}
	in, err := s.incident(ctx, sessionID, id)
	if err == nil && !there {
		err = notFound("incident")
	}
	if err != nil {
		return vigil.Incident{}, err
	}
	return *in, nil
}

func (s *Store) incident(ctx context.Context, sessionID, id string) (*vigil.Incident, error) {
	k, ok := incidentKey(sessionID, id)
	if !ok {
		return nil, notFound("incident")
	}
	it, err := s.get(ctx, "incident", s.main, k)
	if err != nil {
		return nil, err
	}
	in, err := decodeIncident(it)
	if err == nil && in == nil {
		err = notFound("incident")
	}
	return in, err
}

// open is 1 for an incident that still waits for a decision.
func open(r vigil.ReviewState) int64 {
	switch r {
	case vigil.ReviewCleared, vigil.ReviewUpheld, vigil.ReviewOverturned:
		return 0
	}
	return 1
}

// UpdateIncident implements storage.Signals. A review that closes or opens the incident
// is written together with the tally.
func (s *Store) UpdateIncident(ctx context.Context, i vigil.Incident) error {
	old, err := s.incident(ctx, i.SessionID, i.ID)
	if err != nil {
		return err
	}
	if old.Version != i.Version {
		return conflict("incident")
	}
	k, _ := incidentKey(i.SessionID, i.ID)
	e := newExpr().fields(review{i.Review, i.Reviewer, i.Note, i.Reviewed, i.Version + 1}).present().is("Version", num(i.Version))
	delta := open(i.Review) - open(old.Review)
	if delta == 0 {
		return s.update(ctx, "incident", k, e, "incident")
	}
	refusals, err := s.transact(ctx, "incident", s.txChange(k, e), s.txChange(liveKey(i.SessionID), newExpr().add("Open", delta).present()))
	switch {
	case err != nil || refusals == nil:
		return err
	case refusals[0].failed && refusals[0].old != nil:
		return conflict("incident")
	}
	return notFound("incident")
}
