package dynamo

import (
	"context"

	"vigil"
	"vigil/storage"
)

func gapKey(sessionID, id string) key { return key{sessionPartition(sessionID), name("p", id)} }

// gapOrder puts a session's gaps in the order of their start.
func gapOrder(g vigil.Gap) string { return "p#" + sortable(g.Start) + "#" + partName(g.ID) }

// CreateGap implements storage.Gaps.
func (s *Store) CreateGap(ctx context.Context, g vigil.Gap) error {
	places, err := s.gapPlaces(ctx, g)
	if err != nil {
		return err
	}
	return s.addToSession(ctx, "gap", gapKey(g.SessionID, g.ID), encode(g), places, s.txCheck(liveKey(g.SessionID), newExpr().present()))
}

// gapPlaces puts a new gap into its session's list and its exam's.
func (s *Store) gapPlaces(ctx context.Context, g vigil.Gap) (extra, error) {
	end, err := s.endOfSession(ctx, g.ExamID)
	if err != nil {
		return nil, err
	}
	return both(ordered(gapOrder(g)), listed(name("xp", g.ExamID), s.stamp()+"#"+partName(g.ID)), end), nil
}

// UpdateGap implements storage.Gaps.
func (s *Store) UpdateGap(ctx context.Context, g vigil.Gap) error {
	return s.update(ctx, "gap", gapKey(g.SessionID, g.ID), gapChange(g), "gap")
}

// gapChange writes a gap over the one of its version. In its exam's list it stays where it is.
func gapChange(g vigil.Gap) *expr {
	return newExpr().fields(g, "ID", "SessionID", "ExamID", "Version").set("Version", num(g.Version+1)).
		set(attrOrd, str(gapOrder(g))).present().is("Version", num(g.Version))
}

func (s *Store) gaps(sessionID string, desc bool) list {
	return list{what: "gap", index: indexOrder, pk: sessionPartition(sessionID), prefix: "p#", desc: desc, step: 20}
}

// GapsOfSession implements storage.Gaps.
func (s *Store) GapsOfSession(ctx context.Context, sessionID string) ([]vigil.Gap, error) {
	if _, there, err := s.infoOf(ctx, sessionID); err != nil || !there {
		return nil, err
	}
	return allOf[vigil.Gap](ctx, s, s.gaps(sessionID, false), nil)
}

// GapsOfExam implements storage.Gaps.
func (s *Store) GapsOfExam(ctx context.Context, examID string, page storage.Page) (gaps []vigil.Gap, next string, err error) {
	l := list{what: "gap", index: indexList, pk: name("xp", examID)}
	return paged(ctx, s, l, page, ofLiveSessions(s, "gap", decodeAll[vigil.Gap](nil), func(g vigil.Gap) string { return g.SessionID }))
}
