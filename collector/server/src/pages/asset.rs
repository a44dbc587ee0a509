//! The three files that pages ask for, compiled in. Their addresses carry a digest, so they may be
//! cached for ever and a new version is fetched at once.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A file that every page may ask for.
pub struct Asset {
    /// Path below the root of the site, without the digest.
    pub path: &'static str,
    /// Value of the `Content-Type` header.
    pub content_type: &'static str,
    /// Its bytes.
    pub body: &'static str,
}

/// The style sheet.
pub const STYLE: Asset = Asset {
    path: "/assets/style.css",
    content_type: "text/css; charset=utf-8",
    body: include_str!("../../assets/style.css"),
};

/// The script, which only makes working pages handier.
pub const SCRIPT: Asset = Asset {
    path: "/assets/app.js",
    content_type: "text/javascript; charset=utf-8",
    body: include_str!("../../assets/app.js"),
};

/// The icon.
pub const ICON: Asset = Asset {
    path: "/assets/favicon.svg",
    content_type: "image/svg+xml",
    body: include_str!("../../assets/favicon.svg"),
};

/// All of them, for the router.
pub const ALL: [Asset; 3] = [STYLE, SCRIPT, ICON];

static ADDRESSES: LazyLock<[String; 3]> = LazyLock::new(|| ALL.map(|asset| asset.address()));

impl Asset {
    fn address(&self) -> String {
        let digest = Sha256::digest(self.body.as_bytes());
        format!("{}?v={}", self.path, hex::encode(&digest[..6]))
    }
}

/// Address of the style sheet in this build.
pub fn style_href() -> &'static str {
    &ADDRESSES[0]
}

/// Address of the script in this build.
pub fn script_href() -> &'static str {
    &ADDRESSES[1]
}

/// Address of the icon in this build.
pub fn icon_href() -> &'static str {
    &ADDRESSES[2]
}
