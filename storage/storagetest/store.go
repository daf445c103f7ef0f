package storagetest

import (
	"context"
	"slices"
	"strings"
	"time"

	"vigil"
	"vigil/storage"
)

var nodes = []behaviour{
	{"a node lives until it is deleted", func(s *suite) {
		a, b := fill[storage.Node](s), fill[storage.Node](s)
		s.ok(s.RenewNode(s.Context(), a))
		s.ok(s.RenewNode(s.Context(), b))
		a.Heard = a.Heard.Add(time.Hour)
		s.ok(s.RenewNode(s.Context(), a))
		for _, n := range must[[]storage.Node](s)(s.Nodes(s.Context())) {
			if a.Schema, b.Schema = n.Schema, n.Schema; n.Schema < 1 {
				s.Errorf("schema that a node knows: got %d, want the store's own", n.Schema)
			}
		}
		want := []storage.Node{a, b}
		byID := func(a, b storage.Node) int { return strings.Compare(a.ID, b.ID) }
		slices.SortFunc(want, byID)
		got := must[[]storage.Node](s)(s.Nodes(s.Context()))
		slices.SortFunc(got, byID)
		same(s, "nodes", got, want)
		s.ok(s.DeleteNode(s.Context(), a.ID))
		s.ok(s.DeleteNode(s.Context(), a.ID))
		same(s, "after deleting", must[[]storage.Node](s)(s.Nodes(s.Context())), []storage.Node{b})
	}},
}

var whole = []behaviour{
	{"its schema is the program's", func(s *suite) { s.ok(s.CheckSchema(s.Context())) }},
	{"it answers", func(s *suite) {
		s.ok(s.Ping(s.Context()))
		s.ok(s.Ping(s.Context()))
	}},
	{"a call whose context has ended is unavailable and changes nothing", func(s *suite) {
		e := s.exam()
		v := s.session(e)
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		_, err := s.AppendSignals(ctx, []vigil.Signal{s.signal(v, 1)})
		s.code("append", err, vigil.CodeUnavailable)
		s.code("create", s.CreateSession(ctx, s.newSession(e)), vigil.CodeUnavailable)
		_, err = s.Session(ctx, v.ID)
		s.code("read", err, vigil.CodeUnavailable)
		_, _, err = s.SessionsOfExam(ctx, e.ID, storage.Page{})
		s.code("list", err, vigil.CodeUnavailable)
		if got := len(s.signalsOf(v)); got != 0 {
			s.Errorf("got %d signals, want 0", got)
		}
	}},
	{"errors carry a message for people and nothing of what was stored", func(s *suite) {
		v := s.session(s.exam(), func(v *vigil.Session) { v.Name = "Secret Name" })
		err := s.CreateSession(s.Context(), v)
		if err == nil || strings.Contains(err.Error(), v.Name) || strings.Contains(err.Error(), v.UserID) {
			s.Errorf("got %v, want an error without the name", err)
		}
	}},
}
