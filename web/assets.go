package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/go-chi/chi/v5"
)

// The built scripts and styles, made from web/ui by `make ui` and committed, so that Go
// alone builds the binary.
//
//go:embed assets
var assetFiles embed.FS

// assetTags are the entity tags of the files: by them a browser that has a file learns
// that it still has the right one, without names that change with each build.
var assetTags = tagAssets()

func tagAssets() map[string]string {
	tags := map[string]string{}
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := assetFiles.ReadFile(name)
		sum := sha256.Sum256(b)
		tags[name] = `"` + hex.EncodeToString(sum[:8]) + `"`
		return err
	})
	if err != nil { // embedded files cannot fail to be read
		panic(err)
	}
	return tags
}

// hasAsset tells whether a script or style was built.
func hasAsset(name string) bool {
	_, ok := assetTags["assets/"+name]
	return ok
}

// serveAssets serves them to anyone: the monitor is loaded by quiz pages of other
// origins, as a module.
func serveAssets(w http.ResponseWriter, r *http.Request) {
	name := path.Join("assets", path.Clean("/"+chi.URLParam(r, "*")))
	b, err := assetFiles.ReadFile(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("ETag", assetTags[name])
	h.Set("Cache-Control", "no-cache")
	if strings.Contains(name, "/chunk-") { // named by content
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == assetTags[name] {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		h.Set("Content-Type", t)
	}
	_, _ = w.Write(b) // #nosec G705 -- our own embedded file
}

func serveIcon(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/assets/icon.svg", http.StatusFound)
}
