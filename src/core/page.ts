/** Pages of the web: a browser asks what they tell it to, also of this machine; none of what is asked here is for them. */

/** What a browser says of the page that makes it ask (Fetch §3.2, Fetch Metadata §2). `none`: a person has typed the address. */
export function isAskedByPage(field: (name: string) => string | null | undefined): boolean {
  return (field('origin') ?? undefined) !== undefined || (field('sec-fetch-site') ?? 'none') !== 'none';
}
