package dynamo

import (
	"context"
	"time"

	"vigil"
	"vigil/storage"
)

// An exam is two items: itself ("a"), and who says who may do what there ("b"), if somebody does.
// A program from before there was such a word writes the first one anew as a whole, and must not
// take it away: everybody would see everything.

func examPartition(id string) string { return name("x", id) }
func examKey(id string) key          { return key{examPartition(id), "a"} }
func sourceKey(id string) key        { return key{examPartition(id), "b"} }

func linkKey(platformID, deploymentID, resourceLinkID string) key {
	return key{name("p", platformID), name("l", deploymentID, resourceLinkID)}
}

// examInfo is what every reader needs of an exam: how long things are kept.
type examInfo struct {
	issuer string
	keep   vigil.Retention
	until  time.Time // remembered so long
}

// maxExams and maxLives bound what is remembered; when full all is forgotten.
const (
	maxExams = 10_000
	maxLives = 50_000
)

func (i examInfo) signals() time.Duration  { return time.Duration(i.keep.Signals) * day }
func (i examInfo) chat() time.Duration     { return time.Duration(i.keep.Chat) * day }
func (i examInfo) sessions() time.Duration { return time.Duration(i.keep.Sessions) * day }
func (i examInfo) audit() time.Duration    { return time.Duration(i.keep.Audit) * day }

// exam tells an exam's retention and issuer. Another node's change of the policy is
// noticed when what is remembered has grown old.
func (s *Store) exam(ctx context.Context, id string) (examInfo, error) {
	now := s.now()
	s.mu.Lock()
	info, ok := s.exams[id]
	s.mu.Unlock()
	if ok && now.Before(info.until) {
		return info, nil
	}
	e, err := s.Exam(ctx, id)
	if err != nil {
		return examInfo{}, err
	}
	return s.remember(e), nil
}

func (s *Store) remember(e vigil.Exam) examInfo {
	info := examInfo{issuer: e.Issuer, keep: e.Policy.Retention, until: s.now().Add(s.examTTL)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.exams) >= maxExams {
		clear(s.exams)
	}
	s.exams[e.ID] = info
	return info
}

// Exam implements storage.Exams.
func (s *Store) Exam(ctx context.Context, id string) (vigil.Exam, error) {
	out, err := s.query(ctx, list{what: "exam", pk: examPartition(id)}, "a", "b", nil, 0)
	if err != nil {
		return vigil.Exam{}, err
	}
	if len(out.Items) == 0 || item(out.Items[0]).text(attrSK) != "a" {
		return vigil.Exam{}, notFound("exam")
	}
	var source item
	if len(out.Items) > 1 {
		source = out.Items[1]
	}
	return joinedExam(out.Items[0], source)
}

// joinedExam makes an exam of its two items, the second of which may not be there.
func joinedExam(main, source item) (vigil.Exam, error) {
	e, err := decode[vigil.Exam](main)
	if err == nil {
		err = decodeInto(source, &e.Access)
	}
	return e, err
}

// writeExam writes both items of an exam, if the condition on the first one holds.
func (s *Store) writeExam(ctx context.Context, e vigil.Exam, cond *expr) (outcome, error) {
	source := s.txDelete(sourceKey(e.ID), nil)
	if e.Access != (vigil.AccessSource{}) {
		source = s.txPut(sourceKey(e.ID), encode(e.Access), nil, nil)
	}
	refusals, err := s.transact(ctx, "exam", s.txPut(examKey(e.ID), encode(e), ofContext(e), cond), source)
	if err != nil {
		return outcome{}, err
	}
	if refusals != nil {
		return outcome{old: refusals[0].old}, nil
	}
	return outcome{done: true}, nil
}

// ofContext lists an exam under its course.
func ofContext(e vigil.Exam) extra {
	return listed(name("xc", e.Issuer, e.ContextID), sortable(e.Created)+"#"+partName(e.ID))
}

// CreateExam implements storage.Exams.
func (s *Store) CreateExam(ctx context.Context, e vigil.Exam) error {
	o, err := s.writeExam(ctx, e, newExpr().absent())
	if err != nil {
		return err
	}
	if !o.done {
		return exists("exam")
	}
	s.remember(e)
	return nil
}

// UpdateExam implements storage.Exams.
func (s *Store) UpdateExam(ctx context.Context, e vigil.Exam) error {
	cond := newExpr().present().is("Version", num(e.Version))
	e.Version++
	o, err := s.writeExam(ctx, e, cond)
	if err == nil {
		err = o.versioned("exam")
	}
	if err == nil {
		s.remember(e)
	}
	return err
}

// ExamsOfContext implements storage.Exams.
func (s *Store) ExamsOfContext(ctx context.Context, issuer, contextID string, page storage.Page) (exams []vigil.Exam, next string, err error) {
	l := list{what: "exam", index: indexList, pk: name("xc", issuer, contextID), desc: true}
	return paged(ctx, s, l, page, func(ctx context.Context, listed []item) ([]*vigil.Exam, error) {
		items, err := s.full(ctx, "exam", listed)
		if err != nil {
			return nil, err
		}
		keys := make([]key, len(listed))
		for i, it := range listed {
			keys[i] = key{it.text(attrPK), sourceKey("").sk}
		}
		sources, err := s.batchGet(ctx, "exam", keys)
		if err != nil {
			return nil, err
		}
		out := make([]*vigil.Exam, len(items))
		for i, it := range items {
			e, err := joinedExam(it, sources[keys[i]])
			if err != nil {
				return nil, err
			}
			if e.Issuer == issuer && e.ContextID == contextID && e.ID != "" {
				out[i] = &e
			}
		}
		return out, nil
	})
}

// Link implements storage.Exams.
func (s *Store) Link(ctx context.Context, platformID, deploymentID, resourceLinkID string) (vigil.Link, error) {
	return read[vigil.Link](ctx, s, "link", s.main, linkKey(platformID, deploymentID, resourceLinkID))
}

// CreateLink implements storage.Exams. The exam may come after its link: of many first
// launches at once the one that ties the link makes it.
func (s *Store) CreateLink(ctx context.Context, l vigil.Link) error {
	if _, err := s.Platform(ctx, l.PlatformID); err != nil {
		return err
	}
	return s.create(ctx, "link", s.main, linkKey(l.PlatformID, l.DeploymentID, l.ResourceLinkID), encode(l), nil, newExpr().absent())
}

// MoveLinks implements storage.Exams. Each link moves in one step; after an error the
// call may be repeated.
func (s *Store) MoveLinks(ctx context.Context, from, to string) (moved int, err error) {
	if from == to {
		return 0, nil
	}
	if _, err := s.Platform(ctx, to); err != nil {
		return 0, err
	}
	items, err := s.all(ctx, list{what: "link", pk: name("p", from), prefix: "l#"})
	if err != nil {
		return 0, err
	}
	own, err := s.Deployments(ctx, to)
	if err != nil {
		return 0, err
	}
	links, err := decodeList[vigil.Link](items, nil)
	if err != nil {
		return 0, err
	}
	single := len(own) == 1
	for _, l := range links {
		single = single && l.DeploymentID == links[0].DeploymentID
	}
	for i, it := range items {
		l := links[i]
		l.PlatformID = to
		if single {
			l.DeploymentID = own[0].ID
		}
		refusals, err := s.transact(ctx, "link",
			s.txPut(linkKey(to, l.DeploymentID, l.ResourceLinkID), encode(l), nil, newExpr().absent()),
			s.txDelete(keyOf(it), newExpr().present()),
		)
		if err != nil {
			return moved, err
		}
		if refusals == nil {
			moved++
		}
	}
	return moved, nil
}
