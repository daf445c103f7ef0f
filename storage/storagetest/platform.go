package storagetest

import (
	"fmt"
	"time"

	"vigil"
)

var platforms = []behaviour{
	{"every field of a platform comes back", func(s *suite) {
		p := fill[vigil.Platform](s)
		s.ok(s.CreatePlatform(s.Context(), p))
		same(s, "by id", must[vigil.Platform](s)(s.Platform(s.Context(), p.ID)), p)
		same(s, "by client", must[vigil.Platform](s)(s.PlatformByClient(s.Context(), p.Issuer, p.ClientID)), p)
	}},
	{"a zero platform comes back as zero", func(s *suite) {
		p := vigil.Platform{ID: id(), Issuer: "i", ClientID: "c"}
		s.ok(s.CreatePlatform(s.Context(), p))
		same(s, "by id", must[vigil.Platform](s)(s.Platform(s.Context(), p.ID)), p)
	}},
	{"an unknown platform is not found", func(s *suite) {
		p := s.platform()
		_, err := s.Platform(s.Context(), "nobody")
		s.code("by id", err, vigil.CodeNotFound)
		_, err = s.PlatformByClient(s.Context(), p.Issuer, "nobody")
		s.code("by client", err, vigil.CodeNotFound)
		s.code("update", s.UpdatePlatform(s.Context(), vigil.Platform{ID: "nobody"}), vigil.CodeNotFound)
		s.code("delete", s.DeletePlatform(s.Context(), "nobody"), vigil.CodeNotFound)
	}},
	{"an id or a client is taken once", func(s *suite) {
		p := s.platform()
		other := p
		other.ClientID = "another"
		s.code("same id", s.CreatePlatform(s.Context(), other), vigil.CodeExists)
		other = p
		other.ID = id()
		s.code("same client", s.CreatePlatform(s.Context(), other), vigil.CodeExists)
		other.Issuer = "https://another.example"
		s.ok(s.CreatePlatform(s.Context(), other))
	}},
	{"of many creates of one client one wins", func(s *suite) {
		s.oneWins(race(50, func(i int) error {
			return s.CreatePlatform(s.Context(), vigil.Platform{ID: id(), Issuer: "i", ClientID: "c", Name: fmt.Sprint(i), Created: s.now})
		}), vigil.CodeExists)
		if got := must[[]vigil.Platform](s)(s.Platforms(s.Context())); len(got) != 1 {
			s.Errorf("got %d platforms, want 1", len(got))
		}
	}},
	{"platforms are listed by their creation", func(s *suite) {
		var want []vigil.Platform
		for i := range 3 {
			want = append(want, vigil.Platform{ID: id(), Issuer: "i", ClientID: fmt.Sprint(i), Created: s.now.Add(time.Duration(i) * time.Second)})
		}
		for _, i := range []int{2, 0, 1} {
			s.ok(s.CreatePlatform(s.Context(), want[i]))
		}
		same(s, "platforms", must[[]vigil.Platform](s)(s.Platforms(s.Context())), want)
	}},
	{"an update writes every field and raises the version", func(s *suite) {
		p := s.platform()
		next := fill[vigil.Platform](s)
		next.ID, next.Version = p.ID, p.Version
		s.ok(s.UpdatePlatform(s.Context(), next))
		next.Version++
		same(s, "platform", must[vigil.Platform](s)(s.Platform(s.Context(), p.ID)), next)
		s.code("the old version", s.UpdatePlatform(s.Context(), p), vigil.CodeConflict)
	}},
	{"a platform's plugin is seen, and seen in a newer version", func(s *suite) {
		p := s.platform()
		for _, version := range []int{1, 2, 0} {
			p.Plugin = version
			s.ok(s.UpdatePlatform(s.Context(), p))
			p.Version++
			same(s, "platform", must[vigil.Platform](s)(s.Platform(s.Context(), p.ID)), p)
			same(s, "listed", must[[]vigil.Platform](s)(s.Platforms(s.Context())), []vigil.Platform{p})
		}
	}},
	{"an update to a client that is taken is refused", func(s *suite) {
		a, b := s.platform(), s.platform()
		b.ClientID = a.ClientID
		s.code("update", s.UpdatePlatform(s.Context(), b), vigil.CodeExists)
	}},
	{"of many updates from one version one wins", func(s *suite) {
		p := s.platform()
		winner := s.oneWins(race(50, func(i int) error {
			q := p
			q.Name = fmt.Sprint(i)
			return s.UpdatePlatform(s.Context(), q)
		}), vigil.CodeConflict)
		got := must[vigil.Platform](s)(s.Platform(s.Context(), p.ID))
		if got.Name != fmt.Sprint(winner) || got.Version != p.Version+1 {
			s.Errorf("got name %q version %d, want %d and %d", got.Name, got.Version, winner, p.Version+1)
		}
	}},
	{"deleting a platform takes its deployments and links and leaves exams and sessions", func(s *suite) {
		p, other := s.platform(), s.platform()
		e := s.exam()
		v := s.session(e, func(v *vigil.Session) { v.PlatformID = p.ID })
		for _, q := range []vigil.Platform{p, other} {
			s.ok(s.SaveDeployment(s.Context(), vigil.Deployment{PlatformID: q.ID, ID: "1", State: vigil.DeploymentActive, Created: s.now}))
			s.ok(s.CreateLink(s.Context(), vigil.Link{PlatformID: q.ID, DeploymentID: "1", ResourceLinkID: "r", ExamID: e.ID, Created: s.now}))
		}
		s.ok(s.DeletePlatform(s.Context(), p.ID))
		_, err := s.Platform(s.Context(), p.ID)
		s.code("platform", err, vigil.CodeNotFound)
		_, err = s.PlatformByClient(s.Context(), p.Issuer, p.ClientID)
		s.code("platform by client", err, vigil.CodeNotFound)
		_, err = s.Deployment(s.Context(), p.ID, "1")
		s.code("deployment", err, vigil.CodeNotFound)
		_, err = s.Link(s.Context(), p.ID, "1", "r")
		s.code("link", err, vigil.CodeNotFound)
		must[vigil.Deployment](s)(s.Deployment(s.Context(), other.ID, "1"))
		must[vigil.Link](s)(s.Link(s.Context(), other.ID, "1", "r"))
		must[vigil.Exam](s)(s.Exam(s.Context(), e.ID))
		s.read(v.ID)
		s.ok(s.CreatePlatform(s.Context(), p)) // its client is free again
	}},
	{"a deployment is added and replaced", func(s *suite) {
		p := s.platform()
		d := fill[vigil.Deployment](s)
		d.PlatformID = p.ID
		s.ok(s.SaveDeployment(s.Context(), d))
		same(s, "deployment", must[vigil.Deployment](s)(s.Deployment(s.Context(), p.ID, d.ID)), d)
		d.State = vigil.DeploymentActive
		s.ok(s.SaveDeployment(s.Context(), d))
		same(s, "replaced", must[[]vigil.Deployment](s)(s.Deployments(s.Context(), p.ID)), []vigil.Deployment{d})
		_, err := s.Deployment(s.Context(), p.ID, "nobody")
		s.code("unknown", err, vigil.CodeNotFound)
		if got := must[[]vigil.Deployment](s)(s.Deployments(s.Context(), "nobody")); len(got) != 0 {
			s.Errorf("got %d deployments of no platform, want 0", len(got))
		}
	}},
	{"the same deployment id of two platforms is two deployments", func(s *suite) {
		a, b := s.platform(), s.platform()
		s.ok(s.SaveDeployment(s.Context(), vigil.Deployment{PlatformID: a.ID, ID: "1", State: vigil.DeploymentActive, Created: s.now}))
		s.ok(s.SaveDeployment(s.Context(), vigil.Deployment{PlatformID: b.ID, ID: "1", State: vigil.DeploymentPending, Created: s.now}))
		if got := must[vigil.Deployment](s)(s.Deployment(s.Context(), a.ID, "1")); got.State != vigil.DeploymentActive {
			s.Errorf("got state %q, want active", got.State)
		}
	}},
	{"times keep milliseconds in UTC", func(s *suite) {
		p := vigil.Platform{ID: id(), Issuer: "i", ClientID: "c"}
		p.Created = time.Date(2026, 7, 1, 12, 0, 0, 123_987_654, time.FixedZone("east", 7*3600))
		s.ok(s.CreatePlatform(s.Context(), p))
		got := must[vigil.Platform](s)(s.Platform(s.Context(), p.ID)).Created
		want := time.Date(2026, 7, 1, 5, 0, 0, 123_000_000, time.UTC)
		if got != want { // == and not Equal: the location counts, too
			s.Errorf("got %v, want %v", got, want)
		}
	}},
}

// invitation stores one that lasts an hour.
func (s *suite) invitation() vigil.Invitation {
	s.Helper()
	i := vigil.Invitation{Hash: id(), Created: s.now, Expires: s.now.Add(time.Hour)}
	s.ok(s.CreateInvitation(s.Context(), i))
	return i
}

var invitations = []behaviour{
	{"every field of an invitation comes back", func(s *suite) {
		i := fill[vigil.Invitation](s)
		s.ok(s.CreateInvitation(s.Context(), i))
		same(s, "invitation", must[vigil.Invitation](s)(s.Invitation(s.Context(), i.Hash)), i)
		s.code("again", s.CreateInvitation(s.Context(), i), vigil.CodeExists)
		_, err := s.Invitation(s.Context(), "nobody")
		s.code("unknown", err, vigil.CodeNotFound)
	}},
	{"each try is counted and the last one ends it", func(s *suite) {
		i := s.invitation()
		for n := 1; n <= vigil.MaxInvitationTries; n++ {
			if got := must[vigil.Invitation](s)(s.TryInvitation(s.Context(), i.Hash, s.now)); got.Tries != n {
				s.Errorf("got %d tries, want %d", got.Tries, n)
			}
		}
		_, err := s.TryInvitation(s.Context(), i.Hash, s.now)
		s.code("one more", err, vigil.CodeNotFound)
		must[vigil.Invitation](s)(s.Invitation(s.Context(), i.Hash))
	}},
	{"of many tries at once only so many are let through", func(s *suite) {
		i := s.invitation()
		passed := 0
		for _, err := range race(50, func(int) error { _, err := s.TryInvitation(s.Context(), i.Hash, s.now); return err }) {
			if err == nil {
				passed++
			} else {
				s.code("a loser", err, vigil.CodeNotFound)
			}
		}
		if passed != vigil.MaxInvitationTries {
			s.Errorf("got %d tries through, want %d", passed, vigil.MaxInvitationTries)
		}
	}},
	{"one that is unknown, expired or spent cannot be tried", func(s *suite) {
		_, err := s.TryInvitation(s.Context(), "nobody", s.now)
		s.code("unknown", err, vigil.CodeNotFound)
		i := s.invitation()
		_, err = s.TryInvitation(s.Context(), i.Hash, i.Expires)
		s.code("expired", err, vigil.CodeNotFound)
		must[vigil.Invitation](s)(s.TryInvitation(s.Context(), i.Hash, i.Expires.Add(-time.Millisecond)))
		s.ok(s.SpendInvitation(s.Context(), i.Hash, "p", s.now))
		_, err = s.TryInvitation(s.Context(), i.Hash, s.now)
		s.code("spent", err, vigil.CodeNotFound)
	}},
	{"it is spent once", func(s *suite) {
		i := s.invitation()
		s.code("unknown", s.SpendInvitation(s.Context(), "nobody", "p", s.now), vigil.CodeNotFound)
		winner := s.oneWins(race(50, func(n int) error {
			return s.SpendInvitation(s.Context(), i.Hash, fmt.Sprint("platform-", n), s.now)
		}), vigil.CodeConflict)
		got := must[vigil.Invitation](s)(s.Invitation(s.Context(), i.Hash))
		if want := fmt.Sprint("platform-", winner); got.PlatformID != want {
			s.Errorf("got platform %q, want the winner's %q", got.PlatformID, want)
		}
	}},
	{"one that expired since it was tried can still be spent", func(s *suite) {
		i := s.invitation()
		s.ok(s.SpendInvitation(s.Context(), i.Hash, "p", i.Expires.Add(time.Minute)))
	}},
}
