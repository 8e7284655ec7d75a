//! Where models are at Google's Vertex.

/// Corrects an address that was made of a location: of some that are no single region the hosts follow rules of their own.
pub(super) fn address(address: &mut String) {
    for (location, host) in [
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ] {
        if *address == format!("https://{location}-aiplatform.googleapis.com") {
            *address = format!("https://{host}");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn places_that_are_no_single_region_have_other_hosts() {
        for (location, host) in [
            ("us-central1", "us-central1-aiplatform.googleapis.com"),
            ("global", "aiplatform.googleapis.com"),
            ("eu", "aiplatform.eu.rep.googleapis.com"),
        ] {
            let mut address = format!("https://{location}-aiplatform.googleapis.com");
            super::address(&mut address);
            assert_eq!(address, format!("https://{host}"));
        }
    }
}
