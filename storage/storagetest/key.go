package storagetest

import (
	"fmt"
	"time"

	"vigil"
)

var keys = []behaviour{
	{"every field of a key comes back, oldest first and of its use only", func(s *suite) {
		var want []vigil.Key
		for i := range 3 {
			k := fill[vigil.Key](s)
			k.Use, k.Created = vigil.KeyLTI, s.now.Add(time.Duration(i)*time.Hour)
			want = append(want, k)
		}
		for _, i := range []int{1, 2, 0} {
			s.ok(s.CreateKey(s.Context(), want[i]))
		}
		other := fill[vigil.Key](s)
		other.Use = vigil.KeySocket
		s.ok(s.CreateKey(s.Context(), other))
		same(s, "keys", must[[]vigil.Key](s)(s.Keys(s.Context(), vigil.KeyLTI)), want)
		same(s, "other keys", must[[]vigil.Key](s)(s.Keys(s.Context(), vigil.KeySocket)), []vigil.Key{other})
	}},
	{"an id is taken once", func(s *suite) {
		k := vigil.Key{ID: id(), Use: vigil.KeyLTI, Created: s.now}
		s.oneWins(race(50, func(int) error { return s.CreateKey(s.Context(), k) }), vigil.CodeExists)
	}},
	{"an update is conditional on the version", func(s *suite) {
		k := vigil.Key{ID: id(), Use: vigil.KeyLTI, State: vigil.KeyNext, Created: s.now, Version: 1}
		s.ok(s.CreateKey(s.Context(), k))
		winner := s.oneWins(race(20, func(i int) error {
			n := k
			n.State, n.Sealed = vigil.KeyActive, []byte(fmt.Sprint(i))
			return s.UpdateKey(s.Context(), n)
		}), vigil.CodeConflict)
		k.State, k.Sealed, k.Version = vigil.KeyActive, []byte(fmt.Sprint(winner)), 2
		same(s, "key", must[[]vigil.Key](s)(s.Keys(s.Context(), vigil.KeyLTI)), []vigil.Key{k})
		s.code("unknown", s.UpdateKey(s.Context(), vigil.Key{ID: "nobody"}), vigil.CodeNotFound)
	}},
	{"a key is deleted", func(s *suite) {
		k := vigil.Key{ID: id(), Use: vigil.KeyLTI, Created: s.now}
		s.ok(s.CreateKey(s.Context(), k))
		s.ok(s.DeleteKey(s.Context(), k.ID))
		s.code("again", s.DeleteKey(s.Context(), k.ID), vigil.CodeNotFound)
		if got := must[[]vigil.Key](s)(s.Keys(s.Context(), vigil.KeyLTI)); len(got) != 0 {
			s.Errorf("got %d keys, want 0", len(got))
		}
	}},
}

var records = []behaviour{
	{"every field of a record comes back", func(s *suite) {
		r := fill[vigil.Record](s)
		s.ok(s.CreateRecord(s.Context(), r, s.now))
		same(s, "record", must[vigil.Record](s)(s.GetRecord(s.Context(), r.Kind, r.Key, s.now)), r)
		same(s, "taken", must[vigil.Record](s)(s.TakeRecord(s.Context(), r.Kind, r.Key, s.now)), r)
	}},
	{"kind and key together name it", func(s *suite) {
		for _, r := range []vigil.Record{{Kind: "a", Key: "b"}, {Kind: "a", Key: "c"}, {Kind: "ab", Key: ""}, {Kind: "", Key: "ab"}} {
			r.Value, r.Expires = []byte(r.Kind+"/"+r.Key), s.now.Add(time.Hour)
			s.ok(s.CreateRecord(s.Context(), r, s.now))
		}
		got := must[vigil.Record](s)(s.GetRecord(s.Context(), "ab", "", s.now))
		if string(got.Value) != "ab/" {
			s.Errorf("got value %q, want %q", got.Value, "ab/")
		}
	}},
	{"a live one cannot be created again, an expired one can", func(s *suite) {
		r := vigil.Record{Kind: "k", Key: "1", Value: []byte("a"), Expires: s.now.Add(time.Minute)}
		s.ok(s.CreateRecord(s.Context(), r, s.now))
		s.code("again", s.CreateRecord(s.Context(), r, s.now), vigil.CodeExists)
		r.Value = []byte("b")
		s.ok(s.CreateRecord(s.Context(), r, r.Expires))
	}},
	{"of many creates one wins", func(s *suite) {
		winner := s.oneWins(race(50, func(i int) error {
			return s.CreateRecord(s.Context(), vigil.Record{Kind: "jti", Key: "1", Value: []byte(fmt.Sprint(i)), Expires: s.now.Add(time.Minute)}, s.now)
		}), vigil.CodeExists)
		if got := must[vigil.Record](s)(s.GetRecord(s.Context(), "jti", "1", s.now)); string(got.Value) != fmt.Sprint(winner) {
			s.Errorf("got value %q, want the winner's %d", got.Value, winner)
		}
	}},
	{"of many takes one gets it", func(s *suite) {
		s.ok(s.PutRecord(s.Context(), vigil.Record{Kind: "state", Key: "1", Value: []byte("v"), Expires: s.now.Add(time.Minute)}))
		s.oneWins(race(50, func(int) error { _, err := s.TakeRecord(s.Context(), "state", "1", s.now); return err }), vigil.CodeNotFound)
	}},
	{"an expired one is not found, by getting or taking", func(s *suite) {
		r := vigil.Record{Kind: "k", Key: "1", Expires: s.now}
		s.ok(s.PutRecord(s.Context(), r))
		_, err := s.GetRecord(s.Context(), r.Kind, r.Key, s.now)
		s.code("get", err, vigil.CodeNotFound)
		must[vigil.Record](s)(s.GetRecord(s.Context(), r.Kind, r.Key, s.now.Add(-time.Millisecond)))
		_, err = s.TakeRecord(s.Context(), r.Kind, r.Key, s.now)
		s.code("take", err, vigil.CodeNotFound)
	}},
	{"one without an end stays", func(s *suite) {
		s.ok(s.PutRecord(s.Context(), vigil.Record{Kind: "k", Key: "1", Value: []byte("v")}))
		later := s.now.Add(100 * 365 * 24 * time.Hour)
		s.code("create", s.CreateRecord(s.Context(), vigil.Record{Kind: "k", Key: "1"}, later), vigil.CodeExists)
		must[vigil.Record](s)(s.GetRecord(s.Context(), "k", "1", later))
		must[vigil.Record](s)(s.TakeRecord(s.Context(), "k", "1", later))
	}},
	{"putting replaces, deleting twice is no error", func(s *suite) {
		r := vigil.Record{Kind: "k", Key: "1", Value: []byte("a"), Expires: s.now.Add(time.Minute)}
		s.ok(s.PutRecord(s.Context(), r))
		r.Value, r.Expires = []byte("b"), s.now.Add(time.Hour)
		s.ok(s.PutRecord(s.Context(), r))
		same(s, "record", must[vigil.Record](s)(s.GetRecord(s.Context(), "k", "1", s.now)), r)
		s.ok(s.DeleteRecord(s.Context(), "k", "1"))
		s.ok(s.DeleteRecord(s.Context(), "k", "1"))
		_, err := s.GetRecord(s.Context(), "k", "1", s.now)
		s.code("get", err, vigil.CodeNotFound)
	}},
}
