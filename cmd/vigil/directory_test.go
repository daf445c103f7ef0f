package main

import (
	"context"
	"errors"
	"testing"

	"vigil"
	"vigil/realtime"
)

type onePlatform struct {
	p   vigil.Platform
	err error
}

func (o onePlatform) Platform(_ context.Context, id string) (vigil.Platform, error) {
	switch {
	case o.err != nil:
		return vigil.Platform{}, o.err
	case id != o.p.ID:
		return vigil.Platform{}, vigil.Errorf(vigil.CodeNotFound, "No such platform.")
	}
	return o.p, nil
}

func TestSocketsAreForPeopleOfActivePlatformsOnly(t *testing.T) {
	away := vigil.Errorf(vigil.CodeUnavailable, "The store does not answer.")
	for name, row := range map[string]struct {
		store   onePlatform
		subject string
		want    error
	}{
		"active":             {onePlatform{p: vigil.Platform{ID: "p1", State: vigil.PlatformActive}}, "p1|u", nil},
		"disabled":           {onePlatform{p: vigil.Platform{ID: "p1", State: vigil.PlatformDisabled}}, "p1|u", vigil.ErrForbidden},
		"pending":            {onePlatform{p: vigil.Platform{ID: "p1", State: vigil.PlatformPending}}, "p1|u", vigil.ErrForbidden},
		"removed":            {onePlatform{p: vigil.Platform{ID: "p1", State: vigil.PlatformActive}}, "p2|u", vigil.ErrForbidden},
		"no platform at all": {onePlatform{p: vigil.Platform{ID: "p1", State: vigil.PlatformActive}}, "u", vigil.ErrForbidden},
		"store away":         {onePlatform{err: away}, "p1|u", vigil.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			err := activePlatform{row.store}.allow(t.Context(), realtime.Claims{Subject: row.subject})
			if row.want == nil && err != nil || row.want != nil && !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
		})
	}
}
